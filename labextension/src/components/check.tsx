import { refreshIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IFinding, IUsage } from '../api/types';
import * as format from '../model/format';
import { ActionButton, Disclosure, Problem, Waiting } from './basics';
import { useResource, useSurroundings } from './context';
import { Tasks } from './tasks';

/** What each image and container takes; layers of several images count in each of them. */
function Space(props: { usage: IUsage }): JSX.Element {
  const { images, containers } = props.usage;
  const { trans } = useSurroundings();
  const row = (what: string, name: string, size: number, shared: string): JSX.Element => (
    <tr key={`${what} ${name}`}>
      <td>{what}</td>
      <td className="lpmx-Grow">{name}</td>
      <td>{format.bytes(size)}</td>
      <td>{shared}</td>
    </tr>
  );
  return (
    <div className="lpmx-Scroll">
      <table className="lpmx-Table" aria-label={trans.__('What takes space')}>
        <thead>
          <tr>
            <th scope="col">{trans.__('What')}</th>
            <th scope="col">{trans.__('Name')}</th>
            <th scope="col">{trans.__('Size')}</th>
            <th scope="col">{trans.__('Shared')}</th>
          </tr>
        </thead>
        <tbody>
          {images.map(({ name, size, shared }) =>
            row(trans.__('image'), name, size, format.bytes(shared))
          )}
          {containers.map(({ name, size }) => row(trans.__('container'), name, size, '–'))}
        </tbody>
      </table>
    </div>
  );
}

/** What this host allows, each thing tried for real, and what the store takes. */
export function CheckSection(): JSX.Element {
  const { model, actions, trans } = useSurroundings();
  const findings = useResource(model.findings);
  const usage = useResource(model.usage);
  const verdicts: Record<IFinding['verdict'], string> = {
    ok: trans.__('good'),
    limited: trans.__('limited'),
    missing: trans.__('missing')
  };
  return (
    <>
      {findings.problem && (
        <Problem problem={findings.problem} retry={() => findings.refresh()} />
      )}
      {!findings.value && !findings.problem && <Waiting />}
      {findings.value && (
        <ul className="lpmx-List lpmx-Findings" aria-label={trans.__('What this host allows')}>
          {findings.value.map(finding => (
            <li key={finding.subject} className="lpmx-Item" data-verdict={finding.verdict}>
              <div className="lpmx-Row">
                <span className="lpmx-Row-name">{finding.subject}</span>
                <span className="lpmx-Verdict">{verdicts[finding.verdict]}</span>
              </div>
              <div className="lpmx-Detail">{finding.found}</div>
              {finding.follows && <div className="lpmx-Detail">{finding.follows}</div>}
            </li>
          ))}
        </ul>
      )}
      {usage.value && (
        <p className="lpmx-Detail">
          {trans.__(
            'Layers take %1; %2 of it no image needs.',
            format.bytes(usage.value.layers),
            format.bytes(usage.value.unused)
          )}
          {usage.value.quota !== null &&
            ` ${trans.__('The quota is %1.', format.bytes(usage.value.quota))}`}
        </p>
      )}
      {usage.value && (
        <Disclosure label={trans.__('What takes space')}>
          {() => <Space usage={usage.value!} />}
        </Disclosure>
      )}
      <Tasks kinds={['gc']} />
      <div className="lpmx-Row">
        <ActionButton
          label={trans.__('Free unused space')}
          action={async () => {
            await actions.collectGarbage();
            await model.usage.refresh();
          }}
        />
        <ActionButton
          icon={refreshIcon}
          label={trans.__('Check again')}
          action={() => Promise.all([findings.refresh(), usage.refresh()])}
        />
      </div>
    </>
  );
}
