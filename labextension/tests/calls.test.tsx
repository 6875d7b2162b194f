import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it } from 'vitest';

import { CallsSection } from '../src/components/calls';
import { Dialog, Notification, showDialog } from './page/apputils';
import { container, IPage, page } from './support';

afterEach(cleanup);

const LINK = { name: 'git', path: '/usr/local/bin/git', target: 'host:/usr/bin/git' };
const COMMAND = { name: 'samtools', path: '/home/me/bin/samtools', container: 'fit', program: 'samtools', whole: false };

/** A page with one container, which has these links and exposed programs. */
function withCalls(links: object[], exposed: object[]): IPage {
  const made = page();
  made.server.routes['GET containers'] = () => [container('fit')];
  made.server.routes['GET containers/fit/links'] = () => links;
  made.server.routes['GET containers/fit/exposed'] = () => exposed;
  return made;
}

it('completes programs of the host, links one, and says what is remarked on it', async () => {
  const { server, show } = withCalls([], []);
  server.routes['GET host/programs'] = (_, query) => ({
    total: 1, programs: [{ name: `${query.get('query')}t`, path: '/usr/bin/git' }]
  });
  let added: unknown;
  server.routes['POST containers/fit/links'] = body => {
    added = body;
    return { link: LINK, notes: ['it hides the image\'s own'] };
  };
  show(<CallsSection />);
  const field = await screen.findByLabelText('Program that the container may call');

  fireEvent.change(field, { target: { value: 'gi' } });
  await waitFor(() => expect(document.querySelector('option[value=git]')).not.toBeNull());
  fireEvent.change(field, { target: { value: 'git' } });
  fireEvent.click(screen.getByText('Link'));

  await waitFor(() => expect(added).toEqual({ name: 'git', target: 'host:git' }));
  await waitFor(() => expect(Notification.info).toHaveBeenCalled());
});

it('links a program of another container by its own name', async () => {
  const { server, show } = withCalls([], []);
  let added: unknown;
  server.routes['POST containers/fit/links'] = body => {
    added = body;
    return { link: LINK, notes: [] };
  };
  show(<CallsSection />);

  const field = await screen.findByLabelText('Program that the container may call');
  fireEvent.change(field, { target: { value: 'bio:/usr/bin/samtools' } });
  fireEvent.click(screen.getByText('Link'));

  await waitFor(() => expect(added).toEqual({ name: 'samtools', target: 'bio:/usr/bin/samtools' }));
});

it('completes programs of the container, and exposes one', async () => {
  const { server, show } = withCalls([], []);
  server.routes['GET containers/fit/programs'] = () => ({
    total: 1, programs: [{ name: 'samtools', path: '/usr/bin/samtools' }]
  });
  let exposed: unknown;
  server.routes['POST containers/fit/exposed'] = body => {
    exposed = body;
    return { exposed: COMMAND, notes: [] };
  };
  show(<CallsSection />);
  const field = await screen.findByLabelText('Program of the container that this machine may call');

  fireEvent.change(field, { target: { value: 'sam' } });
  await waitFor(() => expect(document.querySelector('option[value=samtools]')).not.toBeNull());
  fireEvent.change(field, { target: { value: 'samtools' } });
  fireEvent.click(screen.getByText('Expose'));

  await waitFor(() => expect(exposed).toEqual({ program: 'samtools' }));
});

it('takes a link and a command away once that is confirmed', async () => {
  const { server, show } = withCalls([LINK], [COMMAND]);
  const gone: string[] = [];
  server.routes['DELETE containers/fit/links'] = (_, query) => void gone.push(query.get('link')!);
  server.routes['DELETE containers/fit/exposed'] = (_, query) => void gone.push(query.get('command')!);
  showDialog.mockResolvedValueOnce({ button: Dialog.cancelButton({}) });
  showDialog.mockResolvedValue({ button: Dialog.warnButton({}) });
  show(<CallsSection />);

  fireEvent.click(await screen.findByLabelText('Remove the link git'));
  await waitFor(() => expect(showDialog).toHaveBeenCalledTimes(1));
  expect(gone).toEqual([]);
  fireEvent.click(screen.getByLabelText('Remove the command samtools'));
  await waitFor(() => expect(gone).toEqual([COMMAND.path]));
  fireEvent.click(screen.getByLabelText('Remove the link git'));

  await waitFor(() => expect(gone).toEqual([COMMAND.path, LINK.path]));
});

it('shows recent calls, the refused ones with the rule, or why there are none', async () => {
  const { server, show } = withCalls([], []);
  const call = { time: 0, pid: 1, container: 'fit', caller: '/bin/sh', called: 'host:/usr/bin/git', allowed: true, rule: null };
  let answer: object = { log: '/log', error: null, calls: [call, { ...call, allowed: false, rule: '!host:*' }] };
  server.routes['GET calls'] = () => answer;
  show(<CallsSection />);
  const button = await screen.findByText('Recent calls');

  fireEvent.click(button);
  await screen.findByText(/refused: !host:\*/);
  for (const [said, value] of [
    ['No call was made yet.', { log: '/log', error: null, calls: [] }],
    [/The setting "call_log"/, { log: null, error: null, calls: [] }],
    ['cannot read "/log"', { log: '/log', error: 'cannot read "/log"', calls: [] }]
  ] as const) {
    fireEvent.click(button);
    answer = value;
    fireEvent.click(button);
    await screen.findByText(said);
  }
});
