import { cleanup, fireEvent, screen, within } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it, vi } from 'vitest';

import type { IKernel, IProcess } from '../src/api/types';
import { ContainersSection } from '../src/components/containers';
import { CommandIds } from '../src/lab/ids';
import { Dialog, showDialog } from './page/apputils';
import { container, image, page, task } from './support';

afterEach(cleanup);

const KERNEL = {
  id: 'k1', container: 'fit', own: true, here: true, name: 'lpmx-tiny', state: 'idle',
  description: 'the host\'s Python', sessions: [{ id: 's', path: 'a.ipynb', name: 'a.ipynb', type: 'notebook' }]
} as unknown as IKernel;

it('says what makes a container where there is none', async () => {
  page().show(<ContainersSection />);

  await screen.findByText(/No container is there/);
});

it('names a container by its notebook, and shows its programs and changed files when asked', async () => {
  const { server, show } = page();
  const program = { pid: 7, argv: ['/bin/sleep', '9'], program: '/bin/busybox', cpu: 12.4, memory: 1024, host_call: true };
  server.routes['GET containers'] = () => [
    container('fit', { running: true, cpu: 12.4, memory: 1024, kernels: [KERNEL], processes: [program as unknown as IProcess] })
  ];
  let changes: object = { total: 3, changes: [{ kind: 'A', path: '/a' }, { kind: 'D', path: '/d' }] };
  server.routes['GET containers/fit/diff'] = () => changes;
  show(<ContainersSection />);

  await screen.findByText('a.ipynb');
  expect(screen.getByText('CPU 12 % · memory 1.0 KiB')).toBeDefined();
  expect(screen.getByText('the host\'s Python · idle')).toBeDefined();
  expect(server.asked).not.toContain('GET containers/fit/diff');
  fireEvent.click(screen.getByText('Programs (1)'));
  expect(screen.getByText('sleep').textContent).toBe('sleep of the host');
  fireEvent.click(screen.getByText('Changed files'));
  const list = await screen.findByRole('list', { name: 'Changed files' });
  expect(within(list).getAllByRole('listitem').map(one => one.textContent)).toEqual(['new /a', 'gone /d']);
  expect(screen.getByText('and 1 more')).toBeDefined();

  changes = { total: 0, changes: [] };
  fireEvent.click(screen.getByText('Look again'));
  await screen.findByText('All files are as the image has them.');
});

it('is chosen by its name, and offers nothing but to be removed if it is damaged', async () => {
  const { server, show, model, actions } = page();
  server.routes['GET containers'] = () => [container('fit'), container('broken', { damaged: true })];
  const menu = vi.spyOn(actions, 'openMenu').mockImplementation(() => undefined);
  show(<ContainersSection />);

  fireEvent.click(await screen.findByText('fit'));
  expect(model.current).toBe('fit');
  fireEvent.click(screen.getByLabelText('More for container broken'));

  expect(menu.mock.calls[0][0]).toEqual([{ command: CommandIds.removeContainer, args: { container: 'broken' } }]);
  expect((screen.getByLabelText('Open a terminal in container broken') as HTMLButtonElement).disabled).toBe(true);
});

/** A page with a container that is a notebook's alone, and a yes to every question. */
function withNotebook() {
  const made = page();
  made.server.routes['GET containers'] = () => [container('fit', { temporary: true, kernels: [KERNEL] })];
  showDialog.mockResolvedValue({ button: Dialog.warnButton({}) });
  return made;
}

it('is reset by its open notebook, which shows that its kernel starts', async () => {
  const { model, actions, open } = withNotebook();
  await model.containers.refresh();
  const changeKernel = vi.fn(async () => undefined);
  open.push({}, { sessionContext: { session: { kernel: { id: 'other' } } } });
  open.push({ sessionContext: { session: { kernel: { id: 'k1' } }, changeKernel } });

  await actions.reset('fit');

  expect(changeKernel).toHaveBeenCalledWith({ name: 'lpmx-tiny' });
  expect(showDialog.mock.lastCall![0].body).toContain('gets a new kernel in a new container');
});

it('is reset by its session where its notebook is not open here', async () => {
  const { model, actions, sessions } = withNotebook();
  await model.containers.refresh();
  const changeKernel = vi.fn(async () => undefined);
  const dispose = vi.fn();
  sessions.running = () => [{ kernel: { id: 'k1' } }, { kernel: null }];
  sessions.connectTo = () => ({ changeKernel, dispose });

  await actions.reset('fit');

  expect(changeKernel).toHaveBeenCalledWith({ name: 'lpmx-tiny' });
  expect(dispose).toHaveBeenCalledTimes(1);
});

it('is shared by notebooks through a kernel spec of its own, which is made once', async () => {
  const { server, model, actions, execute } = page();
  server.routes['GET containers'] = () => [container('fit')];
  await model.containers.refresh();
  let asked: any;
  server.routes['POST kernelspecs'] = body => {
    asked = body;
    const spec = { name: body.name, display_name: '', image: 'tiny:1', kernel: '', container: 'fit' };
    server.routes['GET kernelspecs'] = () => [spec];
    return task('1', { kind: 'kernelspecs', state: 'succeeded', result: { images: [], kernelspecs: [spec] } as any });
  };

  await actions.notebookInContainer('fit');
  await actions.notebookInContainer('fit');

  expect(asked).toEqual({
    image: 'tiny:1', container: 'fit', name: 'lpmx-in-fit', display_name: 'LPMX: fit', task: true
  });
  expect(server.asked.filter(one => one === 'POST kernelspecs')).toHaveLength(1);
  expect(execute.mock.calls).toEqual(Array(2).fill(['notebook:create-new', { kernelName: 'lpmx-in-fit' }]));
});

it('has no kernel spec of another whose name differs in capitals, or that had its name before', async () => {
  const { server, model, actions } = page();
  server.routes['GET containers'] = () => ['fit_a', 'Fit_a', 'fit_A'].map(name => container(name));
  await model.containers.refresh();
  const left = { name: 'lpmx-in-fit__a', display_name: '', image: 'old:1', kernel: '', container: 'fit_a' };
  server.routes['GET kernelspecs'] = () => [left];
  const names: string[] = [];
  server.routes['POST kernelspecs'] = body => {
    names.push(body.name);
    return task(body.name, { kind: 'kernelspecs', state: 'succeeded', result: { images: [], kernelspecs: [body] } as any });
  };

  for (const name of ['fit_a', 'Fit_a', 'fit_A']) {
    await actions.notebookInContainer(name);
  }

  expect(names).toEqual(['lpmx-in-fit__a', 'lpmx-in-_fit__a', 'lpmx-in-fit___a']);
});

it('is downloaded only when one knows that its secrets are in the file', async () => {
  const { model, actions } = page();
  const clicked: string[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, 'click').mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push(this.href);
  });
  showDialog.mockResolvedValueOnce({ button: Dialog.cancelButton({}) });
  showDialog.mockResolvedValueOnce({ button: Dialog.warnButton({}) });

  await actions.bundleContainer('fit');
  await actions.bundleContainer('fit');
  actions.downloadImage('tiny:1');
  actions.bundleImage('tiny:1');

  expect(showDialog.mock.lastCall![0].body).toContain('also secret ones');
  expect(clicked).toEqual([
    model.client.url('bundle', { container: 'fit' }),
    model.client.url('images/archive', { image: 'tiny:1' }),
    model.client.url('bundle', { image: 'tiny:1' })
  ]);
});

it('is stopped after its kernels, which Jupyter would start again', async () => {
  const { server, model, actions, kernels } = withNotebook();
  await Promise.all([model.containers.refresh(), model.images.refresh()]);
  server.routes['POST containers/fit/stop'] = () => {
    throw { message: 'gone', hint: null, code: 'container-unknown' };
  };

  await actions.stop('fit');

  expect(kernels.shutdown).toHaveBeenCalledWith('k1');
  expect(server.asked.indexOf('POST containers/fit/stop')).toBeGreaterThan(0);
});

it('keeps its image from being removed, which says so', async () => {
  const { server, model, actions } = page();
  server.routes['GET images'] = () => [image('tiny:1', { containers: ['fit'], kernelspecs: ['lpmx-tiny'] })];
  await model.images.refresh();
  showDialog.mockResolvedValueOnce({ button: Dialog.cancelButton({}) });

  await actions.removeImage('tiny:1');

  expect(showDialog.mock.lastCall![0].body).toBe(
    'Containers made of it: fit. Remove these first. Its kernels go from the launcher.'
  );
});
