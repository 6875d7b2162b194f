import { stopIcon, terminalIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IContainer, IKernel, IProcess } from '../api/types';
import { CommandIds } from '../lab/ids';
import * as format from '../model/format';
import { Resource } from '../model/resource';
import { ActionButton, Disclosure, Empty, MoreButton, Problem, Waiting } from './basics';
import { useOwnResource, usePolling, useResource, useSignal, useSurroundings } from './context';

function kernelName(kernel: IKernel): string {
  return kernel.sessions.map(({ path, name }) => name || path).join(', ') || kernel.id.slice(0, 8);
}

function Changes(props: { container: string }): JSX.Element {
  const { model, trans } = useSurroundings();
  const diff = useOwnResource(
    () => new Resource(() => model.client.diff(props.container)),
    [props.container]
  );
  if (diff.problem) {
    return <Problem problem={diff.problem} retry={() => diff.refresh()} />;
  }
  if (!diff.value) {
    return <Waiting />;
  }
  const { changes, total } = diff.value;
  const words = { A: trans.__('new'), C: trans.__('changed'), D: trans.__('gone') };
  return (
    <>
      {total === 0 && <Empty>{trans.__('All files are as the image has them.')}</Empty>}
      <ul className="lpmx-Facts lpmx-Changes" aria-label={trans.__('Changed files')}>
        {changes.map(({ kind, path }) => (
          <li key={path} data-kind={kind}>
            <span className="lpmx-Detail">{words[kind]}</span> <code>{path}</code>
          </li>
        ))}
      </ul>
      {total > changes.length && (
        <p className="lpmx-Detail">{trans.__('and %1 more', total - changes.length)}</p>
      )}
      <ActionButton label={trans.__('Look again')} action={() => diff.refresh()} />
    </>
  );
}

function Processes(props: { processes: IProcess[] }): JSX.Element {
  const { trans } = useSurroundings();
  return (
    <div className="lpmx-Scroll">
      <table className="lpmx-Table">
        <thead>
          <tr>
            <th scope="col">{trans.__('PID')}</th>
            <th scope="col">{trans.__('Program')}</th>
            <th scope="col">{trans.__('CPU')}</th>
            <th scope="col">{trans.__('Memory')}</th>
          </tr>
        </thead>
        <tbody>
          {props.processes.map(process => (
            <tr key={process.pid}>
              <td>{process.pid}</td>
              <td className="lpmx-Grow" title={`${process.program}: ${process.argv.join(' ')}`}>
                {(process.argv[0] || process.program).split('/').pop()}
                {process.host_call && <span className="lpmx-Detail"> {trans.__('of the host')}</span>}
              </td>
              <td>{format.percent(process.cpu)}</td>
              <td>{format.bytes(process.memory)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Container(props: { container: IContainer; chosen: boolean }): JSX.Element {
  const { container, chosen } = props;
  const { model, actions, trans } = useSurroundings();
  const { name } = container;
  const args = { container: name };
  // by their names: the server's order is that of ids, by chance
  const sessions = container.kernels
    .map(kernelName)
    .sort((one, other) => one.localeCompare(other, undefined, { numeric: true }))
    .join(', ');
  const items = container.damaged
    ? [CommandIds.removeContainer]
    : [
        CommandIds.notebookInContainer,
        CommandIds.openTerminal,
        CommandIds.commitContainer,
        CommandIds.bundleContainer,
        CommandIds.resetContainer,
        CommandIds.stopContainer,
        CommandIds.removeContainer
      ];
  return (
    <li
      className={`lpmx-Item lpmx-Container${chosen ? ' lpmx-mod-chosen' : ''}`}
      data-container={name}
      data-running={container.running}
    >
      <div className="lpmx-Row">
        <button
          type="button"
          className="lpmx-Row-name lpmx-Choose"
          aria-pressed={chosen}
          title={trans.__("Show this container's variables and calls")}
          onClick={() => {
            model.current = name;
          }}
        >
          {sessions || name}
        </button>
        <ActionButton
          icon={terminalIcon}
          label={trans.__('Open a terminal in container %1', name)}
          disabled={container.damaged || model.info.value?.terminals === false}
          action={() => actions.openTerminal(name)}
        />
        <ActionButton
          icon={stopIcon}
          label={trans.__('Stop container %1', name)}
          disabled={!container.running}
          action={() => actions.stop(name)}
        />
        <MoreButton
          label={trans.__('More for container %1', name)}
          items={items.map(command => ({ command, args }))}
        />
      </div>
      <div className="lpmx-Detail">
        {container.damaged
          ? trans.__('damaged: its record cannot be read')
          : [container.familiar, sessions && name].filter(Boolean).join(' · ')}
      </div>
      {!container.damaged && (
        <div className="lpmx-Detail lpmx-Figures">
          {container.running
            ? trans.__('CPU %1 · memory %2', format.percent(container.cpu), format.bytes(container.memory))
            : trans.__('Nothing runs in it.')}
        </div>
      )}
      {container.kernels.map(
        kernel =>
          kernel.description && (
            <div className="lpmx-Detail" key={kernel.id}>
              {kernel.description}
              {kernel.state && ` · ${kernel.state}`}
            </div>
          )
      )}
      {!container.damaged && (
        <>
          <Disclosure label={trans.__('Programs (%1)', container.processes.length)}>
            {() =>
              container.processes.length > 0 ? (
                <Processes processes={container.processes} />
              ) : (
                <Empty>{trans.__('Nothing runs in it.')}</Empty>
              )
            }
          </Disclosure>
          <Disclosure label={trans.__('Changed files')}>{() => <Changes container={name} />}</Disclosure>
        </>
      )}
    </li>
  );
}

/** The containers there are, with what runs in them. */
export function ContainersSection(): JSX.Element {
  const { model, trans, interval } = useSurroundings();
  const { value, problem } = useResource(model.containers);
  useSignal(model.stateChanged);
  usePolling(model.containers, interval);
  React.useEffect(() => model.watchProcesses(), [model]);
  return (
    <>
      {problem && <Problem problem={problem} retry={() => model.containers.refresh()} />}
      {!value && !problem && <Waiting />}
      {value && value.length === 0 && (
        <Empty>
          {trans.__(
            'No container is there. A notebook in an image makes one, which goes with its kernel; "New container" in an image\'s menu makes one that stays.'
          )}
        </Empty>
      )}
      {value && value.length > 0 && (
        <ul className="lpmx-List" aria-label={trans.__('Containers')}>
          {value.map(container => (
            <Container
              key={container.name}
              container={container}
              chosen={container.name === model.current}
            />
          ))}
        </ul>
      )}
    </>
  );
}
