import { cleanup, fireEvent, screen, waitFor } from '@testing-library/react';
import axe from 'axe-core';
import React from 'react';
import { afterEach, expect, it, vi } from 'vitest';

import { ForContainer } from '../src/components/chooser';
import { FIRST_OPEN, PanelView } from '../src/components/panel';
import { container, image, page, task } from './support';

afterEach(cleanup);

it('asks nothing for what is folded, and remembers what is open', async () => {
  const { server, show } = page();
  const remember = vi.fn();
  show(<PanelView open={FIRST_OPEN} remember={remember} />);
  await screen.findByText(/There is no image yet/);
  expect(server.asked).not.toContain('GET check');

  fireEvent.click(screen.getByRole('button', { name: 'Check' }));

  await waitFor(() => expect(server.asked).toContain('GET check'));
  expect(remember).toHaveBeenLastCalledWith(['images', 'containers', 'check']);
  fireEvent.click(screen.getByRole('button', { name: /^Images/ }));
  expect(screen.queryByLabelText('Image to pull')).toBeNull();
});

it('says that the connection is gone, and connects again when told to', async () => {
  const { server, show, model } = page();
  show(<PanelView open={[]} remember={() => undefined} />);
  server.say('hello', { server: 'a', tasks: [] });
  await waitFor(() => expect(model.connected).toBe(true));

  server.hangUp();
  await screen.findByText(/No connection to the server/);
  fireEvent.click(screen.getByText('Now'));

  await waitFor(() => expect(server.listening).toBe(1));
});

it('is about the only container, about the chosen one of several, and never about another', async () => {
  const { server, show, model } = page();
  server.routes['GET containers'] = () => [container('one')];
  show(<ForContainer>{name => <p>about {name}</p>}</ForContainer>);
  await screen.findByText('about one');

  server.routes['GET containers'] = () => [container('one'), container('two'), container('broken', { damaged: true })];
  await model.containers.refresh();
  await screen.findByText('Choose the container that this is about.');
  fireEvent.change(screen.getByRole('combobox'), { target: { value: 'two' } });
  await screen.findByText('about two');

  expect(screen.getAllByRole('option').map(one => one.textContent)).toEqual(['one – tiny:1', 'two – tiny:1']);
});

it('has nothing in it that axe would object to', async () => {
  const { server, show, model } = page();
  server.routes['GET images'] = () => [image('tiny:1', { shared: 1024 }), image('host', { live: true })];
  server.routes['GET containers'] = () => [container('fit', { running: true }), container('broken', { damaged: true })];
  server.routes['GET containers/fit/environment'] = () => [
    { name: 'LANG', value: 'C', origin: 'image', secret: false, masked: false, unset: false }
  ];
  server.routes['GET containers/fit/links'] = () => [{ name: 'git', path: '/git', target: 'host:/usr/bin/git' }];
  server.routes['GET containers/fit/exposed'] = () => [];
  server.routes['GET check'] = () => [{ subject: 'seccomp', verdict: 'ok', found: 'works', follows: '' }];
  model.current = 'fit';
  model.begin(task('1', { parts: [{ id: 'a', label: 'a', unit: 'bytes', done: 1, total: 2, finished: false, note: '' }] }));
  const { container: node } = show(
    <main>
      <h1>LPMX</h1>
      <PanelView open={['images', 'containers', 'environment', 'calls', 'gpu', 'check']} remember={() => undefined} />
    </main>
  );
  await screen.findByLabelText('Value of LANG');
  await screen.findByText('seccomp');

  const { violations } = await axe.run(node, { rules: { 'color-contrast': { enabled: false } } });

  expect(violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)])).toEqual([]);
});
