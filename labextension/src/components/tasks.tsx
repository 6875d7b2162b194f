import { closeIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IPart, ITask, TaskKind } from '../api/types';
import * as format from '../model/format';
import { isRunning, IUpload } from '../model/model';
import { ActionButton, Disclosure, Progress } from './basics';
import { useSignal, useSurroundings } from './context';

function amount(part: IPart): string {
  const show = part.unit === 'bytes' ? format.bytes : String;
  return part.total === null ? show(part.done) : `${show(part.done)} / ${show(part.total)}`;
}

function Part(props: { part: IPart }): JSX.Element {
  const { part } = props;
  const { trans } = useSurroundings();
  const share = part.finished ? 100 : format.share(part.done, part.total);
  return (
    <li className="lpmx-Part">
      <span className="lpmx-Part-label">{part.label}</span>
      <span className="lpmx-Detail">
        {part.note || (part.finished ? trans.__('done') : amount(part))}
      </span>
      <Progress label={part.label} share={share} />
    </li>
  );
}

function Task(props: { task: ITask }): JSX.Element {
  const { task } = props;
  const { model, actions, trans } = useSurroundings();
  const running = isRunning(task);
  const share = format.share(task.done, task.total);
  const again = task.kind === 'pull' && task.image !== null && !running;
  return (
    <li className="lpmx-Task" data-task={task.id} data-state={task.state}>
      <div className="lpmx-Row">
        <span className="lpmx-Row-name">{task.title}</span>
        <span className="lpmx-Detail">
          {running && share !== null && `${share} %`}
          {task.state === 'cancelling' && trans.__('ending…')}
          {task.state === 'cancelled' && trans.__('cancelled')}
          {task.state === 'failed' && trans.__('failed')}
        </span>
        <ActionButton
          icon={closeIcon}
          label={running ? trans.__('Cancel: %1', task.title) : trans.__('Dismiss: %1', task.title)}
          disabled={task.state === 'cancelling'}
          action={() => actions.attempt(() => model.endTask(task))}
        />
      </div>
      {running && <Progress label={task.title} share={share} />}
      {running && task.parts.length > 0 && (
        <ul className="lpmx-Parts" aria-label={trans.__('Layers')}>
          {task.parts.map(part => (
            <Part key={part.id} part={part} />
          ))}
        </ul>
      )}
      {task.error && (
        <div className="lpmx-Problem" role="alert">
          <p>{task.error.message}</p>
          {task.error.hint && <p>{trans.__('Hint: %1', task.error.hint)}</p>}
        </div>
      )}
      {!running && task.notes.length > 0 && (
        <Disclosure label={trans.__('What was said')}>
          {() => <pre className="lpmx-Notes">{task.notes.join('\n')}</pre>}
        </Disclosure>
      )}
      {again && task.state !== 'succeeded' && (
        <ActionButton
          label={trans.__('Try again')}
          title={trans.__('Pull %1 again', task.image!)}
          action={async () => {
            if (await actions.pull(task.image!)) {
              await actions.attempt(() => model.endTask(task));
            }
          }}
        />
      )}
    </li>
  );
}

function Upload(props: { upload: IUpload }): JSX.Element {
  const { name, sent, total, cancel } = props.upload;
  const { trans } = useSurroundings();
  return (
    <li className="lpmx-Task" data-upload={name}>
      <div className="lpmx-Row">
        <span className="lpmx-Row-name">{trans.__('Send %1', name)}</span>
        <span className="lpmx-Detail">{`${format.bytes(sent)} / ${format.bytes(total)}`}</span>
        <ActionButton icon={closeIcon} label={trans.__('Do not send %1', name)} action={cancel} />
      </div>
      <Progress label={trans.__('Send %1', name)} share={format.share(sent, total)} />
    </li>
  );
}

/** Files on their way to the server. */
export function Uploads(): JSX.Element {
  const { model, trans } = useSurroundings();
  useSignal(model.tasksChanged);
  return model.uploads.length === 0 ? (
    <></>
  ) : (
    <ul className="lpmx-List" aria-label={trans.__('Files on their way')}>
      {model.uploads.map((upload, at) => (
        <Upload key={at} upload={upload} />
      ))}
    </ul>
  );
}

/** Tasks of these kinds that run or went wrong; those that succeeded show by what they made. */
export function Tasks(props: { kinds: TaskKind[] }): JSX.Element {
  const { model, trans } = useSurroundings();
  useSignal(model.tasksChanged);
  const shown = model.tasks(...props.kinds).filter(({ state }) => state !== 'succeeded');
  const running = shown.filter(isRunning);
  return (
    <>
      <span className="lpmx-ForScreenReaders" role="status">
        {running.length > 0 ? trans.__('Under way: %1', running.map(({ title }) => title).join(', ')) : ''}
      </span>
      {shown.length > 0 && (
        <ul className="lpmx-List" aria-label={trans.__('Under way')}>
          {shown.map(task => (
            <Task key={task.id} task={task} />
          ))}
        </ul>
      )}
    </>
  );
}
