import { waitFor } from '@testing-library/react';
import { expect, it, vi } from 'vitest';

import { asProblem, LpmxError } from '../src/api/client';
import * as format from '../src/model/format';
import { Resource } from '../src/model/resource';
import { container, image, page, task } from './support';

it('keeps the last list when a refresh fails', async () => {
  let fails = false;
  const resource = new Resource(async () => {
    if (fails) {
      throw new LpmxError({ message: 'cannot', hint: 'do', code: 'c' });
    }
    return [1];
  });
  await resource.refresh();

  fails = true;
  await resource.refresh();

  expect(resource.value).toEqual([1]);
  expect(resource.problem?.hint).toBe('do');
});

it('asks once more after an answer that was under way when something changed', async () => {
  const answers: ((value: number) => void)[] = [];
  const resource = new Resource(() => new Promise<number>(resolve => answers.push(resolve)));

  const done = resource.refresh();
  void resource.refresh();
  void resource.refresh();
  answers[0](1);
  await waitFor(() => expect(answers).toHaveLength(2));
  answers[1](2);
  await done;

  expect(resource.value).toBe(2);
  expect(answers).toHaveLength(2);
});

it('follows the tasks that events tell, and forgets what is forgotten', async () => {
  const { server, model } = page();
  const seen = vi.fn();
  model.taskChanged.connect((_, { task: now, before }) => seen(before?.state, now.state));
  await waitFor(() => expect(server.listening).toBe(1));

  server.say('hello', { server: 'a', tasks: [task('1')] });
  server.say('task', task('1', { state: 'succeeded' }));
  server.say('task', task('2', { created: 2 }));
  await waitFor(() => expect(model.tasks().map(({ id }) => id)).toEqual(['2', '1']));
  server.say('forgotten', { id: '1' });

  await waitFor(() => expect(model.tasks().map(({ id }) => id)).toEqual(['2']));
  expect(seen.mock.calls).toEqual([
    [undefined, 'running'],
    ['running', 'succeeded'],
    [undefined, 'running']
  ]);
});

it('connects again after a break, and asks for the lists again', async () => {
  const { server, model } = page();
  await waitFor(() => expect(server.listening).toBe(1));
  server.say('hello', { server: 'a', tasks: [task('1')] });
  await waitFor(() => expect(model.connected).toBe(true));
  server.routes['GET images'] = () => [image('tiny:1')];

  server.hangUp();
  await waitFor(() => expect(model.connected).toBe(false));
  model.reconnect();
  await waitFor(() => expect(server.listening).toBe(1));
  server.say('hello', { server: 'a', tasks: [] });

  await waitFor(() => expect(model.image('tiny:1')).toBeDefined());
  expect(model.tasks()).toEqual([]);
});

it('says of a task that its server ended when another one answers', async () => {
  const { server, model } = page();
  await waitFor(() => expect(server.listening).toBe(1));
  server.say('hello', { server: 'a', tasks: [task('1'), task('2', { state: 'succeeded' })] });
  await waitFor(() => expect(model.tasks()).toHaveLength(2));

  server.say('hello', { server: 'b', tasks: [] });

  await waitFor(() => expect(model.tasks()).toHaveLength(1));
  expect(model.tasks()[0]).toMatchObject({ id: '1', state: 'failed', error: { code: 'server-restarted' } });
});

it('does not listen while the page is hidden, and is told all when it is seen again', async () => {
  const { server, model } = page();
  await waitFor(() => expect(server.listening).toBe(1));
  server.say('hello', { server: 'a', tasks: [] });
  await waitFor(() => expect(model.connected).toBe(true));
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);

  document.dispatchEvent(new Event('visibilitychange'));
  vi.advanceTimersByTime(60_000);
  vi.useRealTimers();
  await waitFor(() => expect(server.listening).toBe(0));
  expect(model.connected).toBe(true); // nothing is wrong
  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event('visibilitychange'));

  await waitFor(() => expect(server.listening).toBe(1));
});

it('does not listen in a page that was never seen', async () => {
  const hidden = vi.spyOn(document, 'hidden', 'get').mockReturnValue(true);
  const { server, model } = page();
  await new Promise(resolve => setTimeout(resolve, 50));
  expect(server.asked).not.toContain('SOCKET events/socket');

  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event('visibilitychange'));
  await waitFor(() => expect(server.listening).toBe(1));
  server.say('hello', { server: 'a', tasks: [] });

  await waitFor(() => expect(model.connected).toBe(true));
});

it('asks no more where the server refuses, until somebody wants it', async () => {
  const made = page(true);
  await waitFor(() => expect(made.model.refusal?.hint).toContain('jupyter server extension list'));
  const asked = made.server.asked.length;
  await new Promise(resolve => setTimeout(resolve, 1200));
  expect(made.server.asked.slice(asked)).toEqual([]);

  made.server.refuses = false;
  made.model.reconnect();

  await waitFor(() => expect(made.server.listening).toBe(1));
});

it('asks for processes only while somebody looks at them', async () => {
  const { server, model } = page();
  await waitFor(() => expect(server.listening).toBe(1));
  const count = (): number => server.asked.filter(route => route === 'GET containers').length;
  server.say('changed', { what: 'processes', container: 'fit' });
  server.say('changed', { what: 'images', container: null });
  await waitFor(() => expect(server.asked).toContain('GET images'));
  expect(count()).toBe(0);

  const leave = model.watchProcesses();
  await waitFor(() => expect(count()).toBe(1));
  server.say('changed', { what: 'processes', container: 'fit' });
  await waitFor(() => expect(count()).toBe(2));
  leave();
});

it('knows an image by all its names', async () => {
  const { server, model } = page();
  server.routes['GET images'] = () => [image('solver:latest'), image('ghcr.io/acme/a:1', { name: 'ghcr.io/acme/a:1' })];
  await model.images.refresh();

  const names = ['solver', 'solver:latest', 'docker.io/library/solver:latest', 'library/solver', 'docker.io/library/solver'];
  expect(names.map(name => model.image(name)?.familiar)).toEqual(names.map(() => 'solver:latest'));
  expect(model.image('ghcr.io/acme/a:1')).toBeDefined();
  expect(['solver:2', 'ghcr.io/acme/a'].map(name => model.image(name))).toEqual([undefined, undefined]);
});

it('knows the container of a kernel', async () => {
  const { server, model } = page();
  const kernel: any = { id: 'k', sessions: [] };
  server.routes['GET containers'] = () => [container('a'), container('b', { kernels: [kernel] })];

  await model.containers.refresh();

  expect(model.containerOf('k')?.name).toBe('b');
  expect(model.containerOf('other')).toBeUndefined();
});

it('says what to do when the server has no extension, and what the server said otherwise', async () => {
  const { server, model } = page();
  server.routes['DELETE image'] = () => {
    throw { message: 'cannot remove "a"', hint: 'remove its containers', code: 'image-used' };
  };

  const missing = await model.client.get('nothing').catch(asProblem);
  const said = await model.client.removeImage('a').catch(asProblem);

  expect((missing as LpmxError).hint).toContain('jupyter server extension list');
  expect(said).toMatchObject({ message: 'cannot remove "a"', hint: 'remove its containers', code: 'image-used' });
});

it('shows amounts as people read them', () => {
  expect([0, 1023, 1536, 150 * 1024, 3 * 1024 ** 3].map(format.bytes)).toEqual([
    '0 B', '1023 B', '1.5 KiB', '150 KiB', '3.0 GiB'
  ]);
  expect(format.share(1, null)).toBeNull();
  expect(format.share(5, 4)).toBe(100);
  expect(format.percent(null)).toBe('–');
});
