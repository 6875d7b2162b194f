import { closeIcon } from '@jupyterlab/ui-components';
import React from 'react';

import * as format from '../model/format';
import { Resource } from '../model/resource';
import { ActionButton, Disclosure, Empty, Problem, TextField, Waiting } from './basics';
import { ForContainer } from './chooser';
import { useOnce, useOwnResource, usePolling, useRefreshOn, useSurroundings } from './context';

const PATIENCE = 200;

/** Gives the container a program of the host, found by a part of its name. */
function AddLink(props: { container: string }): JSX.Element {
  const { model, actions, trans } = useSurroundings();
  const [typed, setTyped] = React.useState('');
  const [found, setFound] = React.useState<{ name: string; path: string }[]>([]);
  const list = React.useId();

  React.useEffect(() => {
    if (typed === '') {
      setFound([]);
      return;
    }
    let late = false;
    const timer = setTimeout(() => {
      model.client.hostPrograms(typed).then(
        ({ programs }) => !late && setFound(programs),
        () => undefined // adding says what is wrong
      );
    }, PATIENCE);
    return () => {
      late = true;
      clearTimeout(timer);
    };
  }, [typed]);

  const [busy, submit] = useOnce(() =>
    actions.attempt(async () => {
      const word = typed.trim();
      if (word === '') {
        return;
      }
      // a container may be named, too: B:/usr/bin/samtools
      const target = word.includes(':') ? word : `host:${word}`;
      const program = target.slice(target.indexOf(':') + 1);
      const { notes } = await model.client.addLink(
        props.container,
        program.split('/').pop()!,
        target
      );
      actions.inform(notes);
      setTyped('');
    })
  );

  return (
    <form className="lpmx-Row lpmx-Form" onSubmit={submit}>
      <TextField
        list={list}
        placeholder={trans.__('git, or OTHER-CONTAINER:/usr/bin/samtools')}
        aria-label={trans.__('Program that the container may call')}
        value={typed}
        onChange={event => setTyped(event.target.value)}
      />
      <datalist id={list}>
        {found.map(({ name, path }) => (
          <option key={path} value={name} label={path} />
        ))}
      </datalist>
      <button type="submit" className="lpmx-Button" disabled={busy || typed.trim() === ''}>
        {trans.__('Link')}
      </button>
    </form>
  );
}

function Links(props: { container: string }): JSX.Element {
  const { container } = props;
  const { model, actions, trans } = useSurroundings();
  const links = useOwnResource(() => new Resource(() => model.client.links(container)), [container]);
  useRefreshOn(links, 'links', container);
  return (
    <>
      <h3 className="lpmx-Subtitle">{trans.__('The container calls')}</h3>
      <AddLink container={container} />
      {links.problem && <Problem problem={links.problem} retry={() => links.refresh()} />}
      {!links.value && !links.problem && <Waiting />}
      {links.value?.length === 0 && (
        <Empty>
          {trans.__(
            'Nothing yet. Type the name of a program of this machine above: in the container it is a command then, and runs outside.'
          )}
        </Empty>
      )}
      <ul className="lpmx-List" aria-label={trans.__('Linked programs')}>
        {(links.value ?? []).map(link => (
          <li key={link.path} className="lpmx-Row" data-link={link.name}>
            <code className="lpmx-Row-name" title={link.path}>
              {link.name}
            </code>
            <span className="lpmx-Detail">{link.target}</span>
            <ActionButton
              icon={closeIcon}
              label={trans.__('Remove the link %1', link.name)}
              action={() => actions.removeLink(container, link.path)}
            />
          </li>
        ))}
      </ul>
    </>
  );
}

function Exposed(props: { container: string }): JSX.Element {
  const { container } = props;
  const { model, actions, trans } = useSurroundings();
  const [typed, setTyped] = React.useState('');
  const exposed = useOwnResource(
    () => new Resource(() => model.client.exposed(container)),
    [container]
  );
  useRefreshOn(exposed, 'exposed', container);
  const [busy, submit] = useOnce(() =>
    actions.attempt(async () => {
      const { notes } = await model.client.expose(container, typed.trim());
      actions.inform(notes);
      setTyped('');
    })
  );
  return (
    <>
      <h3 className="lpmx-Subtitle">{trans.__('This machine calls')}</h3>
      <form className="lpmx-Row lpmx-Form" onSubmit={submit}>
        <TextField
          placeholder={trans.__('samtools')}
          aria-label={trans.__('Program of the container that this machine may call')}
          value={typed}
          onChange={event => setTyped(event.target.value)}
        />
        <button type="submit" className="lpmx-Button" disabled={busy || typed.trim() === ''}>
          {trans.__('Expose')}
        </button>
      </form>
      {exposed.problem && <Problem problem={exposed.problem} retry={() => exposed.refresh()} />}
      {exposed.value?.length === 0 && (
        <Empty>
          {trans.__("Nothing yet. A program of the container becomes a command of yours by its name.")}
        </Empty>
      )}
      <ul className="lpmx-List" aria-label={trans.__('Exposed programs')}>
        {(exposed.value ?? []).map(command => (
          <li key={command.path} className="lpmx-Row" data-exposed={command.name}>
            <code className="lpmx-Row-name" title={command.path}>
              {command.name}
            </code>
            <span className="lpmx-Detail">{command.program}</span>
            <ActionButton
              icon={closeIcon}
              label={trans.__('Remove the command %1', command.name)}
              action={() => actions.unexpose(container, command.path)}
            />
          </li>
        ))}
      </ul>
    </>
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
            <th scope="col">{trans.__('Exit')}</th>
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
              <td>{call.exit_code ?? '–'}</td>
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
