import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it, vi } from 'vitest';

import { Tasks, Uploads } from '../src/components/tasks';
import type { IUpload } from '../src/model/model';
import { page, task } from './support';

afterEach(cleanup);

const FAILED = { message: 'cannot pull "tiny:1": no', hint: null, code: 'unreachable' };

it('cancels a task that runs, and says so until it has ended', async () => {
  const { server, show, model } = page();
  server.routes['DELETE tasks/1'] = () => task('1', { state: 'cancelling' });
  model.begin(task('1', { done: 1, total: 4 }));
  show(<Tasks kinds={['pull']} />);
  expect(screen.getByText('25 %')).toBeDefined();
  expect(screen.getByRole('status').textContent).toBe('Under way: Pull tiny:1');

  fireEvent.click(screen.getByLabelText('Cancel: Pull tiny:1'));
  await waitFor(() => expect(server.asked).toContain('DELETE tasks/1'));
  server.say('task', task('1', { state: 'cancelling' }));

  await screen.findByText('ending…');
  server.say('task', task('1', { state: 'cancelled' }));
  await screen.findByText('cancelled');
});

it('pulls again what failed, and forgets the failure', async () => {
  const { server, show, model } = page();
  server.routes['POST images/pull'] = () => task('2');
  server.routes['DELETE tasks/1'] = () => undefined;
  model.begin(task('1', { state: 'failed', error: FAILED, notes: ['layer 1 is there'] }));
  show(<Tasks kinds={['pull']} />);
  fireEvent.click(screen.getByText('What was said'));
  expect(screen.getByText('layer 1 is there')).toBeDefined();

  fireEvent.click(screen.getByText('Try again'));

  await waitFor(() => expect(model.tasks().map(({ id }) => id)).toEqual(['2']));
  expect(screen.queryByRole('alert')).toBeNull();
});

it('shows no task that has succeeded, nor one of another kind', () => {
  const { show, model } = page();
  model.begin(task('1', { state: 'succeeded' }));
  model.begin(task('2', { kind: 'gc', title: 'Free what nothing needs' }));

  show(<Tasks kinds={['pull']} />);

  expect(screen.queryByRole('listitem')).toBeNull();
});

it('shows how much of a file has been sent, and stops sending it', async () => {
  const { show, model } = page();
  const cancel = vi.fn();
  const upload: IUpload = { name: 'tiny.tar', sent: 512, total: 1024, cancel };
  vi.spyOn(model, 'uploads', 'get').mockReturnValue([upload]);
  show(<Uploads />);

  expect(screen.getByText('512 B / 1.0 KiB')).toBeDefined();
  expect(screen.getByRole('progressbar').getAttribute('aria-valuenow')).toBe('50');
  fireEvent.click(screen.getByLabelText('Do not send tiny.tar'));

  expect(cancel).toHaveBeenCalledTimes(1);
});
