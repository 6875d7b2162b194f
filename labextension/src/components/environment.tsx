import { closeIcon } from '@jupyterlab/ui-components';
import React from 'react';

import { LpmxError, asProblem } from '../api/client';
import type { IVariable } from '../api/types';
import * as format from '../model/format';
import { Resource } from '../model/resource';
import { ActionButton, Disclosure, Empty, FileButton, Problem, TextField, Waiting } from './basics';
import { ForContainer } from './chooser';
import { useOnce, useOwnResource, useRefreshOn, useSurroundings } from './context';

function Value(props: {
  variable: IVariable;
  change: (value: string) => Promise<boolean>;
}): JSX.Element {
  const { variable } = props;
  const { trans } = useSurroundings();
  const [typed, setTyped] = React.useState<string | null>(null);
  const shown = variable.masked ? '' : (variable.value ?? '');
  const saving = React.useRef<string | null>(null);
  /** What is refused, or typed while it is saved, stays typed. */
  const save = async (): Promise<void> => {
    if (typed === null || typed === saving.current) {
      return;
    }
    if (typed === shown && !variable.masked && !variable.unset) {
      setTyped(null);
      return;
    }
    saving.current = typed;
    const done = await props.change(typed);
    saving.current = null;
    if (done) {
      setTyped(now => (now === typed ? null : now));
    }
  };
  return (
    <TextField
      className="lpmx-Input lpmx-Value"
      aria-label={trans.__('Value of %1', variable.name)}
      title={shown}
      placeholder={variable.masked ? '••••••' : variable.unset ? trans.__('taken away') : ''}
      value={typed ?? shown}
      onChange={event => setTyped(event.target.value)}
      onBlur={() => {
        if (typed !== null && typed !== '') {
          void save();
        } else {
          setTyped(null);
        }
      }}
      onKeyDown={event => {
        if (event.key === 'Enter') {
          event.preventDefault();
          void save();
        } else if (event.key === 'Escape' && typed !== null) {
          event.stopPropagation();
          setTyped(null);
        }
      }}
    />
  );
}

function NewVariable(props: {
  change: (name: string, value: string) => Promise<boolean>;
}): JSX.Element {
  const { trans } = useSurroundings();
  const [name, setName] = React.useState('');
  const [value, setValue] = React.useState('');
  const [busy, submit] = useOnce(async () => {
    if (name.trim() !== '' && (await props.change(name.trim(), value))) {
      setName('');
      setValue('');
    }
  });
  return (
    <form className="lpmx-Row lpmx-Form" onSubmit={submit}>
      <TextField
        placeholder={trans.__('NAME')}
        aria-label={trans.__('Name of a new variable')}
        value={name}
        onChange={event => setName(event.target.value)}
      />
      <TextField
        placeholder={trans.__('value')}
        aria-label={trans.__('Value of the new variable')}
        value={value}
        onChange={event => setValue(event.target.value)}
      />
      <button type="submit" className="lpmx-Button" disabled={busy || name.trim() === ''}>
        {trans.__('Set')}
      </button>
    </form>
  );
}

function History(props: { container: string }): JSX.Element {
  const { model, trans } = useSurroundings();
  const history = useOwnResource(
    () => new Resource(() => model.client.variableHistory(props.container)),
    [props.container]
  );
  useRefreshOn(history, 'environment', props.container);
  if (history.problem) {
    return <Problem problem={history.problem} retry={() => history.refresh()} />;
  }
  if (!history.value) {
    return <Waiting />;
  }
  if (history.value.length === 0) {
    return <Empty>{trans.__('Nothing was changed while it ran.')}</Empty>;
  }
  return (
    <ol className="lpmx-Facts" aria-label={trans.__('Changes')}>
      {[...history.value].reverse().map((change, at) => (
        <li key={history.value!.length - at}>
          <span className="lpmx-Detail">{format.time(change.time)}</span>{' '}
          <code>
            {change.unset
              ? trans.__('%1 taken away', change.name)
              : `${change.name}=${change.masked ? '••••••' : change.value}`}
          </code>
        </li>
      ))}
    </ol>
  );
}

function Variables(props: { container: string }): JSX.Element {
  const { container } = props;
  const { model, trans } = useSurroundings();
  const [secrets, setSecrets] = React.useState(false);
  const [filter, setFilter] = React.useState('');
  const [failed, setFailed] = React.useState<LpmxError | null>(null);
  const variables = useOwnResource(
    () => new Resource(() => model.client.variables(container, secrets)),
    [container, secrets]
  );
  useRefreshOn(variables, 'environment', container);

  /** Take over what a request answers: the variables as they are then. */
  const take = async (request: Promise<IVariable[]>): Promise<boolean> => {
    try {
      const now = await request;
      setFailed(null);
      if (secrets) {
        await variables.refresh();
      } else {
        variables.put(now);
      }
      return true;
    } catch (reason) {
      setFailed(asProblem(reason));
      return false;
    }
  };

  const change = (what: { set?: Record<string, string>; unset?: string[] }): Promise<boolean> =>
    take(model.client.changeVariables(container, what));

  const origins: Record<IVariable['origin'], string> = {
    default: trans.__('usual'),
    host: trans.__('host'),
    image: trans.__('image'),
    container: trans.__('container'),
    gpu: trans.__('GPU'),
    live: trans.__('live')
  };
  const sought = filter.toLowerCase();
  const shown = (variables.value ?? []).filter(({ name }) => name.toLowerCase().includes(sought));
  return (
    <>
      <NewVariable change={(name, value) => change({ set: { [name]: value } })} />
      {failed && <Problem problem={failed} />}
      {variables.problem && (
        <Problem problem={variables.problem} retry={() => variables.refresh()} />
      )}
      {!variables.value && !variables.problem && <Waiting />}
      {variables.value && (
        <>
          <div className="lpmx-Row lpmx-Form">
            <input
              className="lpmx-Input"
              type="search"
              placeholder={trans.__('Filter')}
              aria-label={trans.__('Filter variables by name')}
              value={filter}
              onChange={event => setFilter(event.target.value)}
            />
            <label className="lpmx-Check">
              <input
                type="checkbox"
                checked={secrets}
                onChange={event => setSecrets(event.target.checked)}
              />
              {trans.__('Show secrets')}
            </label>
          </div>
          <table className="lpmx-Table lpmx-Variables" aria-label={trans.__('Variables')}>
            <thead>
              <tr>
                <th scope="col">{trans.__('Name')}</th>
                <th scope="col">{trans.__('Value')}</th>
                <th scope="col">{trans.__('From')}</th>
                <th scope="col">
                  <span className="lpmx-ForScreenReaders">{trans.__('Take away')}</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {shown.map(variable => (
                <tr
                  key={variable.name}
                  data-variable={variable.name}
                  className={variable.unset ? 'lpmx-mod-unset' : ''}
                >
                  <th scope="row" title={variable.name}>
                    {variable.name}
                  </th>
                  <td className="lpmx-Grow">
                    <Value
                      variable={variable}
                      change={value => change({ set: { [variable.name]: value } })}
                    />
                  </td>
                  <td className="lpmx-Detail">{origins[variable.origin]}</td>
                  <td>
                    {!variable.unset && (
                      <ActionButton
                        icon={closeIcon}
                        label={trans.__('Take away %1', variable.name)}
                        action={() => change({ unset: [variable.name] })}
                      />
                    )}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
          {shown.length === 0 && <Empty>{trans.__('No variable has that in its name.')}</Empty>}
        </>
      )}
      <FileButton
        label={trans.__('Load .env')}
        title={trans.__('Set the variables of a file with lines such as NAME=value')}
        fieldLabel={trans.__('File of variables')}
        chosen={async file => take(model.client.loadVariables(container, await file.text()))}
      />
      <Disclosure label={trans.__('History')}>{() => <History container={container} />}</Disclosure>
    </>
  );
}

/** A container's variables, as a table that changes them at once for all that runs there. */
export function EnvironmentSection(): JSX.Element {
  return <ForContainer>{container => <Variables container={container} />}</ForContainer>;
}
