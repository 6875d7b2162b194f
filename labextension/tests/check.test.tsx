import { cleanup, fireEvent, screen, within } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it } from 'vitest';

import { CheckSection } from '../src/components/check';
import { Dialog, showDialog } from './page/apputils';
import { page, task } from './support';

afterEach(cleanup);

const USAGE = {
  images: [{ name: 'tiny:1', size: 2048, shared: 1024 }],
  containers: [{ name: 'fit', size: 512 }],
  layers: 2048, unused: 512, quota: 1024 ** 3
};

it('says what the host allows, what follows from what it does not, and what takes space', async () => {
  const { server, show } = page();
  server.routes['GET check'] = () => [
    { subject: 'seccomp', verdict: 'ok', found: 'works', follows: '' },
    { subject: 'perf', verdict: 'missing', found: 'closed', follows: 'no figures' }
  ];
  server.routes['GET usage'] = () => USAGE;
  show(<CheckSection />);

  const findings = await screen.findByRole('list', { name: 'What this host allows' });
  expect(within(findings).getAllByRole('listitem').map(one => one.textContent)).toEqual([
    'seccompgoodworks', 'perfmissingclosedno figures'
  ]);
  await screen.findByText(/Layers take 2.0 KiB; 512 B of it no image needs. The quota is 1.0 GiB./);
  fireEvent.click(screen.getByText('What takes space'));
  const rows = within(screen.getByRole('table', { name: 'What takes space' })).getAllByRole('row');
  expect(rows.map(row => row.textContent)).toEqual([
    'WhatNameSizeShared', 'imagetiny:12.0 KiB1.0 KiB', 'containerfit512 B–'
  ]);
});

it('frees space once that is confirmed, and shows how that goes', async () => {
  const { server, show } = page();
  server.routes['GET check'] = () => [];
  server.routes['GET usage'] = () => USAGE;
  server.routes['POST gc'] = () => task('1', { kind: 'gc', title: 'Free what nothing needs' });
  showDialog.mockResolvedValueOnce({ button: Dialog.warnButton({}) });
  show(<CheckSection />);

  fireEvent.click(await screen.findByText('Free unused space'));

  await screen.findByText('Free what nothing needs');
  expect(showDialog.mock.lastCall![0].title).toBe('Free unused space?');
});

it('asks again when one says so', async () => {
  const { server, show } = page();
  server.routes['GET usage'] = () => USAGE;
  show(<CheckSection />);
  await screen.findByRole('alert');
  server.routes['GET check'] = () => [{ subject: 'seccomp', verdict: 'limited', found: '', follows: '' }];

  fireEvent.click(screen.getByLabelText('Check again'));

  await screen.findByText('limited');
  expect(screen.queryByRole('alert')).toBeNull();
});
