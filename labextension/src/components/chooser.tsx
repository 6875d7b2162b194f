import React from 'react';

import { Empty } from './basics';
import { useResource, useSignal, useSurroundings } from './context';

/** Which container the rest of a section is about. */
export function ForContainer(props: { children: (container: string) => React.ReactNode }): JSX.Element {
  const { model, trans } = useSurroundings();
  const containers = (useResource(model.containers).value ?? []).filter(({ damaged }) => !damaged);
  useSignal(model.stateChanged);
  if (containers.length === 0) {
    return <Empty>{trans.__('Open a notebook in an image, and what its container has shows here.')}</Empty>;
  }
  // never another one than people chose: what they do then would hit the wrong one
  const wanted = model.current ?? (containers.length === 1 ? containers[0].name : null);
  const chosen = containers.some(({ name }) => name === wanted) ? wanted : null;
  return (
    <>
      <label className="lpmx-Row">
        <span className="lpmx-Detail">{trans.__('Container')}</span>
        <select
          className="lpmx-Input"
          value={chosen ?? ''}
          onChange={event => {
            model.current = event.target.value || null;
          }}
        >
          {chosen === null && <option value="">{trans.__('Choose one')}</option>}
          {containers.map(({ name, familiar, kernels }) => (
            <option key={name} value={name}>
              {kernels[0]?.sessions[0]?.name || name} – {familiar}
            </option>
          ))}
        </select>
      </label>
      {chosen !== null ? (
        <React.Fragment key={chosen}>{props.children(chosen)}</React.Fragment>
      ) : (
        <Empty>
          {wanted === null
            ? trans.__('Choose the container that this is about.')
            : trans.__('Container %1 is gone. Choose another one.', wanted)}
        </Empty>
      )}
    </>
  );
}
