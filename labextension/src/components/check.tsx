import { refreshIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IFinding } from '../api/types';
import * as format from '../model/format';
import { ActionButton, Problem, Waiting } from './basics';
import { useResource, useSurroundings } from './context';
import { Tasks } from './tasks';

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
