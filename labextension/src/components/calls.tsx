import { closeIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IProgram } from '../api/types';
import * as format from '../model/format';
import { Resource } from '../model/resource';
import { ActionButton, Disclosure, Empty, Problem, TextField, Waiting } from './basics';
import { ForContainer } from './chooser';
import { useOnce, useOwnResource, usePolling, useRefreshOn, useSurroundings } from './context';

const PATIENCE = 200;

/** What a container may call, or what may be called of it. */
interface IListed {
  name: string;
  path: string;
  /** What is run by that name. */
  runs: string;
}

/** The programs that can be meant by what is typed, asked for when one pauses. */
function useCompletion(typed: string, complete: (typed: string) => Promise<IProgram[]>): IProgram[] {
  const [found, setFound] = React.useState<IProgram[]>([]);
  React.useEffect(() => {
    if (typed === '') {
      setFound([]);
      return;
    }
    let late = false;
    const timer = setTimeout(() => {
      complete(typed).then(
        programs => !late && setFound(programs),
        () => undefined // adding says what is wrong
      );
    }, PATIENCE);
    return () => {
      late = true;
      clearTimeout(timer);
    };
    // oxlint-disable-next-line react-hooks/exhaustive-deps -- `complete` is another each time
  }, [typed]);
  return found;
}

/** Where one types what is added to a list, found by a part of its name. */
function Add(props: {
  label: string;
  placeholder: string;
  button: string;
  complete: (typed: string) => Promise<IProgram[]>;
  /** Resolves to what the server remarks on it. */
  add: (typed: string) => Promise<string[]>;
}): JSX.Element {
  const { actions } = useSurroundings();
  const [typed, setTyped] = React.useState('');
  const found = useCompletion(typed, props.complete);
  const list = React.useId();
  const [busy, submit] = useOnce(() =>
    actions.attempt(async () => {
      if (typed.trim() !== '') {
        actions.inform(await props.add(typed.trim()));
        setTyped('');
      }
    })
  );
  return (
    <form className="lpmx-Row lpmx-Form" onSubmit={submit}>
      <TextField
        list={list}
        placeholder={props.placeholder}
        aria-label={props.label}
        value={typed}
        onChange={event => setTyped(event.target.value)}
      />
      <datalist id={list}>
        {found.map(({ name, path }) => (
          <option key={path} value={name} label={path} />
        ))}
      </datalist>
      <button type="submit" className="lpmx-Button" disabled={busy || typed.trim() === ''}>
        {props.button}
      </button>
    </form>
  );
}

/** A list of programs, what one adds to it by, and what is said where it is empty. */
function Listed(props: {
  title: string;
  label: string;
  empty: string;
  list: Resource<IListed[]>;
  remove: (program: IListed) => { label: string; action: () => unknown };
  children: React.ReactNode;
}): JSX.Element {
  const { list } = props;
  return (
    <>
      <h3 className="lpmx-Subtitle">{props.title}</h3>
      {props.children}
      {list.problem && <Problem problem={list.problem} retry={() => list.refresh()} />}
      {!list.value && !list.problem && <Waiting />}
      {list.value?.length === 0 && <Empty>{props.empty}</Empty>}
      <ul className="lpmx-List" aria-label={props.label}>
        {(list.value ?? []).map(program => (
          <li key={program.path} className="lpmx-Row" data-program={program.name}>
            <code className="lpmx-Row-name" title={program.path}>
              {program.name}
            </code>
            <span className="lpmx-Detail">{program.runs}</span>
            <ActionButton icon={closeIcon} {...props.remove(program)} />
          </li>
        ))}
      </ul>
    </>
  );
}

function Links(props: { container: string }): JSX.Element {
  const { container } = props;
  const { model, actions, trans } = useSurroundings();
  const links = useOwnResource(
    () =>
      new Resource(async () =>
        (await model.client.links(container)).map(one => ({ ...one, runs: one.target }))
      ),
    [container]
  );
  useRefreshOn(links, 'links', container);
  return (
    <Listed
      title={trans.__('The container calls')}
      label={trans.__('Linked programs')}
      empty={trans.__(
        'Nothing yet. Type the name of a program of this machine above: in the container it is a command then, and runs outside.'
      )}
      list={links}
      remove={({ name, path }) => ({
        label: trans.__('Remove the link %1', name),
        action: () => actions.removeLink(container, path)
      })}
    >
      <Add
        label={trans.__('Program that the container may call')}
        placeholder={trans.__('git, or OTHER-CONTAINER:/usr/bin/samtools')}
        button={trans.__('Link')}
        complete={async typed => (await model.client.hostPrograms(typed)).programs}
        add={async word => {
          // a container may be named, too: B:/usr/bin/samtools
          const target = word.includes(':') ? word : `host:${word}`;
          const program = target.slice(target.indexOf(':') + 1);
          return (await model.client.addLink(container, program.split('/').pop()!, target)).notes;
        }}
      />
    </Listed>
  );
}

function Exposed(props: { container: string }): JSX.Element {
  const { container } = props;
  const { model, actions, trans } = useSurroundings();
  const exposed = useOwnResource(
    () =>
      new Resource(async () =>
        (await model.client.exposed(container)).map(one => ({ ...one, runs: one.program }))
      ),
    [container]
  );
  useRefreshOn(exposed, 'exposed', container);
  return (
    <Listed
      title={trans.__('This machine calls')}
      label={trans.__('Exposed programs')}
      empty={trans.__(
        'Nothing yet. Type the name of a program of the container above: it becomes a command of yours by its name.'
      )}
      list={exposed}
      remove={({ name, path }) => ({
        label: trans.__('Remove the command %1', name),
        action: () => actions.unexpose(container, path)
      })}
    >
      <Add
        label={trans.__('Program of the container that this machine may call')}
        placeholder={trans.__('samtools')}
        button={trans.__('Expose')}
        complete={async typed => (await model.client.programs(container, typed)).programs}
        add={async program => (await model.client.expose(container, program)).notes}
      />
    </Listed>
  );
}

function RecentCalls(props: { container: string }): JSX.Element {
  const { model, trans, interval } = useSurroundings();
  const calls = useOwnResource(
    () => new Resource(() => model.client.calls(props.container)),
    [props.container]
  );
  usePolling(calls, interval);
  if (calls.problem) {
    return <Problem problem={calls.problem} retry={() => calls.refresh()} />;
  }
  if (!calls.value) {
    return <Waiting />;
  }
  if (calls.value.error !== null) {
    return <Empty>{calls.value.error}</Empty>;
  }
  if (calls.value.log === null) {
    return <Empty>{trans.__('Calls are not written down. The setting "call_log" of lpmx does that.')}</Empty>;
  }
  if (calls.value.calls.length === 0) {
    return <Empty>{trans.__('No call was made yet.')}</Empty>;
  }
  return (
    <div className="lpmx-Scroll">
      <table className="lpmx-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('Time')}</th>
            <th scope="col">{trans.__('Called')}</th>
          </tr>
        </thead>
        <tbody>
          {calls.value.calls.map((call, at) => (
            <tr key={`${call.time}-${call.pid}-${at}`}>
              <td>{format.time(call.time)}</td>
              <td className="lpmx-Grow" title={trans.__('by %1', call.caller)}>
                {call.called}
                {!call.allowed && ` – ${trans.__('refused: %1', call.rule ?? '')}`}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Which programs of elsewhere a container may call, and which of its programs others may. */
export function CallsSection(): JSX.Element {
  const { trans } = useSurroundings();
  return (
    <ForContainer>
      {container => (
        <>
          <Links container={container} />
          <Exposed container={container} />
          <Disclosure label={trans.__('Recent calls')}>
            {() => <RecentCalls container={container} />}
          </Disclosure>
        </>
      )}
    </ForContainer>
  );
}
