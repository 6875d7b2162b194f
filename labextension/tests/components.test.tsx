import { cleanup, fireEvent, screen, waitFor, within } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it } from 'vitest';

import { EnvironmentSection } from '../src/components/environment';
import { ImagesSection } from '../src/components/images';
import { suggest } from '../src/components/pull';
import { Dialog, InputDialog, Notification, showDialog } from './page/apputils';
import { container, image, IPage, page, task } from './support';

afterEach(cleanup);

function variable(name: string, value: string | null, more: object = {}): object {
  return { name, value, origin: 'image', secret: false, masked: false, unset: false, ...more };
}

/** A page with one container, whose variables are these. */
function withVariables(...variables: object[]): IPage {
  const made = page();
  made.server.routes['GET containers'] = () => [container('fit')];
  made.server.routes['GET containers/fit/environment'] = () => variables;
  return made;
}

it('says what to do where there is no image, and pulls what is typed', async () => {
  const { server, show, model } = page();
  server.routes['POST images/pull'] = ({ reference }) => task('1', { title: `Pull ${reference}` });
  show(<ImagesSection />);
  await screen.findByText(/There is no image yet/);

  fireEvent.change(screen.getByLabelText('Image to pull'), { target: { value: ' tiny:1 ' } });
  fireEvent.click(screen.getByText('Pull'));

  await screen.findByText('Pull tiny:1');
  expect(model.tasks()).toHaveLength(1);
  expect((screen.getByLabelText('Image to pull') as HTMLInputElement).value).toBe('');
});

it('shows how far each layer is, and the error with its hint', async () => {
  const { show, model } = page();
  const part = { id: 'a', label: 'sha256:1234', unit: 'bytes', done: 512, total: 1024, finished: false, note: '' };
  model.begin(task('1', { parts: [part], done: 512, total: 1024 }));
  model.begin(
    task('2', {
      title: 'Pull gone:1',
      image: 'gone:1',
      state: 'failed',
      error: { message: 'cannot pull "gone:1": no', hint: 'log in', code: 'unauthorized' }
    })
  );
  show(<ImagesSection />);

  const bar = await screen.findByRole('progressbar', { name: 'sha256:1234' });
  expect(bar.getAttribute('aria-valuenow')).toBe('50');
  expect(screen.getByText('512 B / 1.0 KiB')).toBeDefined();
  expect(within(screen.getByRole('alert')).getByText('Hint: log in')).toBeDefined();
});

it('opens a notebook in an image that has no kernel spec yet', async () => {
  const { server, show, execute } = page();
  server.routes['GET images'] = () => [image('tiny:1')];
  server.routes['POST kernelspecs'] = () => task('1', { kind: 'kernelspecs', title: 'Make kernels' });
  show(<ImagesSection />);

  fireEvent.click(await screen.findByLabelText('New notebook in tiny:1'));
  await screen.findByText('Make kernels');
  const result: any = { images: [], kernelspecs: [{ name: 'lpmx-tiny-1' }] };
  server.say('task', task('1', { kind: 'kernelspecs', state: 'succeeded', result }));

  await waitFor(() =>
    expect(execute).toHaveBeenCalledWith('notebook:create-new', { kernelName: 'lpmx-tiny-1' })
  );
});

it('tells of an error with its hint, and lets one try again', async () => {
  const { server, actions } = page();
  server.routes['POST images/pull'] = () => {
    throw { message: 'cannot pull "x"', hint: 'see its name', code: 'reference' };
  };

  expect(await actions.pull('x')).toBe(false);

  const [message, { actions: offered }] = Notification.error.mock.calls[0];
  expect(message).toBe('cannot pull "x"');
  offered[0].callback();
  expect(showDialog.mock.lastCall![0].body).toContain('Hint: see its name');
});

it('asks before it removes a container, by its name, and does nothing on no', async () => {
  const { server, actions } = page();
  let removed = 0;
  server.routes['DELETE containers/fit'] = () => void (removed += 1);

  showDialog.mockResolvedValueOnce({ button: Dialog.cancelButton({}) });
  await actions.removeContainer('fit');
  expect(removed).toBe(0);
  expect(showDialog.mock.lastCall![0].title).toBe('Remove container fit?');

  showDialog.mockResolvedValueOnce({ button: Dialog.warnButton({}) });
  await actions.removeContainer('fit');
  expect(removed).toBe(1);
});

it('changes a variable in its row, and hides secrets until they are asked for', async () => {
  const { server, show } = withVariables(
    variable('LANG', 'C'),
    variable('TOKEN', null, { secret: true, masked: true })
  );
  let changed: unknown;
  server.routes['PATCH containers/fit/environment'] = body => {
    changed = body;
    return [variable('LANG', 'C.UTF-8', { origin: 'live' })];
  };
  show(<EnvironmentSection />);
  const field = (await screen.findByLabelText('Value of LANG')) as HTMLInputElement;
  expect((screen.getByLabelText('Value of TOKEN') as HTMLInputElement).placeholder).toBe('••••••');

  fireEvent.change(field, { target: { value: 'C.UTF-8' } });
  fireEvent.keyDown(field, { key: 'Enter' });

  await screen.findByText('live');
  expect(changed).toEqual({ set: { LANG: 'C.UTF-8' } });
  expect(field.value).toBe('C.UTF-8');
});

it('leaves a value as it was when one gives up', async () => {
  const { show } = withVariables(variable('LANG', 'C'));
  show(<EnvironmentSection />);
  const field = (await screen.findByLabelText('Value of LANG')) as HTMLInputElement;

  fireEvent.change(field, { target: { value: 'other' } });
  fireEvent.keyDown(field, { key: 'Escape' });

  expect(field.value).toBe('C');
});

it('says so beside the table when a change is refused', async () => {
  const { server, show } = withVariables(variable('LANG', 'C'));
  server.routes['PATCH containers/fit/environment'] = () => {
    throw { message: 'cannot set "A": too many', hint: null, code: 'environment' };
  };
  show(<EnvironmentSection />);
  await screen.findByLabelText('Value of LANG');

  fireEvent.change(screen.getByLabelText('Name of a new variable'), { target: { value: 'A' } });
  fireEvent.click(screen.getByText('Set'));

  expect((await screen.findByRole('alert')).textContent).toContain('too many');
  expect((screen.getByLabelText('Name of a new variable') as HTMLInputElement).value).toBe('A');
});

it('keeps what was typed in a row when it is refused', async () => {
  const { server, show } = withVariables(variable('LANG', 'C'));
  server.routes['PATCH containers/fit/environment'] = () => {
    throw { message: 'cannot set "LANG"', hint: null, code: 'environment' };
  };
  show(<EnvironmentSection />);
  const field = (await screen.findByLabelText('Value of LANG')) as HTMLInputElement;

  fireEvent.change(field, { target: { value: 'long and dear' } });
  fireEvent.keyDown(field, { key: 'Enter' });
  await screen.findByRole('alert');

  expect(field.value).toBe('long and dear');
});

it('saves a value once, by Enter and by leaving its row', async () => {
  const { server, show } = withVariables(variable('LANG', 'C'));
  let saved = 0;
  server.routes['PATCH containers/fit/environment'] = () => {
    saved += 1;
    return [variable('LANG', 'x', { origin: 'live' })];
  };
  show(<EnvironmentSection />);
  const field = await screen.findByLabelText('Value of LANG');

  fireEvent.change(field, { target: { value: 'x' } });
  fireEvent.keyDown(field, { key: 'Enter' });
  fireEvent.blur(field);
  await screen.findByText('live');

  expect(saved).toBe(1);
});

it('sets what a .env file says, or says what is wrong with it', async () => {
  const { server, show } = withVariables(variable('LANG', 'C'));
  server.routes['POST containers/fit/environment/load'] = ({ text }) => {
    if (text !== 'A=1') {
      throw { message: 'cannot read line 1', hint: null, code: 'invalid-setting' };
    }
    return [variable('A', '1', { origin: 'live' })];
  };
  show(<EnvironmentSection />);
  const chooser = await screen.findByLabelText('File of variables');
  const choose = (text: string) =>
    fireEvent.change(chooser, { target: { files: [Object.assign(new File([], '.env'), { text: async () => text })] } });

  choose('???');
  await screen.findByText('cannot read line 1');
  choose('A=1');

  await screen.findByLabelText('Value of A');
  expect(screen.queryByRole('alert')).toBeNull();
});

it('shows no other container in the place of one that is gone', async () => {
  const { show, model } = withVariables(variable('LANG', 'C'));
  model.current = 'gone';
  show(<EnvironmentSection />);

  await screen.findByText('Container gone is gone. Choose another one.');
  expect(screen.queryByLabelText('Value of LANG')).toBeNull();
});

it('asks before a commit takes the name of another image, and proposes a free one', async () => {
  const { server, model, actions } = page();
  server.routes['GET images'] = () => [image('tiny:changed')];
  server.routes['GET containers'] = () => [container('fit')];
  await Promise.all([model.images.refresh(), model.containers.refresh()]);
  let committed = 0;
  server.routes['POST containers/fit/commit'] = () => {
    committed += 1;
    return task('1', { kind: 'commit' });
  };
  InputDialog.getText.mockResolvedValue({ button: { accept: true }, value: 'tiny:changed' });
  showDialog.mockResolvedValueOnce({ button: Dialog.cancelButton({}) });

  await actions.commit('fit');

  expect(InputDialog.getText.mock.lastCall![0].text).toBe('tiny:changed-2');
  expect(showDialog.mock.lastCall![0].title).toBe('Replace image tiny:changed?');
  expect(committed).toBe(0);
});

it('says of a folder and of an empty file that they are no images', async () => {
  const { actions } = page();

  expect(await actions.upload(new File([], 'empty.tar'))).toBe(false);
  expect(await actions.upload(new File(['x'], 'folder'), true)).toBe(false);

  expect(Notification.error.mock.calls.map(([message]) => message)).toEqual([
    'cannot load "empty.tar": it is empty',
    'cannot load "folder": it is a folder'
  ]);
});

it('completes tags behind a colon and repositories before it, also with a port', async () => {
  const { server, model } = page();
  server.routes['GET registry/tags'] = (_, query) =>
    query.get('repository') === 'localhost:5000/demo' ? ['1', '1.1', '2'] : [];
  server.routes['GET registry/search'] = () => [{ name: 'localhost:5000/demo' }];

  expect(await suggest(model.client, 'localhost:5000/demo:1')).toEqual([
    'localhost:5000/demo:1', 'localhost:5000/demo:1.1'
  ]);
  expect(await suggest(model.client, 'localhost:5000/de')).toEqual(['localhost:5000/demo']);
});
