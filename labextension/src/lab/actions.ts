import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, InputDialog, ISessionContext, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { ReadonlyJSONObject } from '@lumino/coreutils';
import { Menu } from '@lumino/widgets';

import { asProblem, LpmxError } from '../api/client';
import type { IContainer, IKernel, IProblem } from '../api/types';
import { Model } from '../model/model';
import { CommandIds } from './ids';

/** Characters of a notification that JupyterLab shows. */
const ROOM = 140;

export interface IMenuItem {
  command: string;
  args: ReadonlyJSONObject;
}

/**
 * What people can do: asks where something would be lost, does it, and says what went wrong.
 * Nothing here throws.
 */
export class Actions {
  constructor(
    private _model: Model,
    private _app: JupyterFrontEnd,
    private _trans: TranslationBundle
  ) {}

  /** Do it; what it throws is told. Resolves to whether it was done. */
  async attempt(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (reason) {
      this.complain(reason);
      return false;
    }
  }

  complain(reason: unknown): void {
    const problem = asProblem(reason);
    Notification.error(problem.message, { autoClose: false, actions: this.details(problem) });
  }

  /** What a notification of a problem offers: it has no room for the hint, or for a long message. */
  details(problem: IProblem): Notification.IAction[] {
    const { message, hint } = problem;
    if (hint === null && message.length <= ROOM) {
      return [];
    }
    const body = hint ? `${message}\n\n${this._trans.__('Hint: %1', hint)}` : message;
    return [{ label: this._trans.__('Details'), callback: () => void this._tell(body) }];
  }

  /** Say what the server remarks on something that it did. */
  inform(lines: string[]): void {
    if (lines.length > 0) {
      const text = lines.join('\n');
      const actions =
        text.length > ROOM
          ? [{ label: this._trans.__('Details'), callback: () => void this._tell(text) }]
          : [];
      Notification.info(text, { autoClose: 8000, actions });
    }
  }

  private _tell(body: string): Promise<unknown> {
    return showDialog({ title: 'LPMX', body, buttons: [Dialog.okButton()] });
  }

  openMenu(items: IMenuItem[], x: number, y: number): void {
    const menu = new Menu({ commands: this._app.commands });
    items.forEach(item => menu.addItem(item));
    menu.aboutToClose.connect(() => setTimeout(() => menu.dispose()));
    menu.open(x, y);
  }

  execute(command: string, args: ReadonlyJSONObject = {}): void {
    void this.attempt(() => this._app.commands.execute(command, args));
  }

  // -- images

  pull(reference: string): Promise<boolean> {
    return this.attempt(async () => this._model.begin(await this._model.client.pull(reference)));
  }

  async askAndPull(): Promise<void> {
    const answer = await InputDialog.getText({
      title: this._trans.__('Pull an image'),
      label: this._trans.__('Image, such as ubuntu:22.04 or ghcr.io/acme/solver:2.4'),
      okLabel: this._trans.__('Pull')
    });
    const reference = answer.value?.trim();
    if (answer.button.accept && reference) {
      await this.pull(reference);
    }
  }

  async askAndLoad(): Promise<void> {
    const answer = await InputDialog.getText({
      title: this._trans.__('Load an image from a file'),
      label: this._trans.__("Path of an archive on the server's machine"),
      okLabel: this._trans.__('Load')
    });
    const path = answer.value?.trim();
    if (answer.button.accept && path) {
      await this.attempt(async () => this._model.begin(await this._model.client.load(path)));
    }
  }

  upload(file: File, isDirectory = false): Promise<boolean> {
    return this.attempt(() => {
      if (isDirectory || file.size === 0) {
        throw new LpmxError({
          message: isDirectory
            ? this._trans.__('cannot load "%1": it is a folder', file.name)
            : this._trans.__('cannot load "%1": it is empty', file.name),
          hint: this._trans.__('load a file that "docker save" or "lpmx bundle" made'),
          code: 'invalid-request'
        });
      }
      return this._model.upload(file);
    });
  }

  /** A notebook whose kernel runs in the image; makes the kernel spec if there is none. */
  newNotebook(image: string, cwd?: string): Promise<boolean> {
    return this.attempt(async () => {
      let spec = this._model.image(image)?.kernelspecs[0];
      if (spec === undefined) {
        const task = await this._model.outcome(await this._model.client.installKernelspecs(image));
        spec = task.result!.kernelspecs[0].name;
        await this._model.kernelspecs.refresh();
      }
      await this.newNotebookOf(spec, cwd);
    });
  }

  /** A notebook whose kernel shares that container with others, and leaves it when it ends. */
  notebookInContainer(container: string): Promise<boolean> {
    return this.attempt(async () => {
      await this._model.kernelspecs.refresh();
      const image = this._find(container)?.familiar ?? '';
      // one that is left of another container of this name is for that one's image
      let spec = this._model.kernelspecs.value?.find(
        one => one.container === container && one.image === image
      )?.name;
      if (spec === undefined) {
        const begun = await this._model.client.installKernelspecs(image, container);
        spec = (await this._model.outcome(begun)).result!.kernelspecs[0].name;
        await this._model.kernelspecs.refresh();
      }
      await this.newNotebookOf(spec);
    });
  }

  async newNotebookOf(spec: string, cwd?: string): Promise<void> {
    const known = this._app.serviceManager.kernelspecs;
    if (!known.specs?.kernelspecs[spec]) {
      await known.refreshSpecs();
    }
    await this._app.commands.execute('notebook:create-new', {
      kernelName: spec,
      ...(cwd === undefined ? {} : { cwd })
    });
  }

  downloadImage(image: string): void {
    this._model.client.download('images/archive', { image });
  }

  bundleImage(image: string): void {
    this._model.client.download('bundle', { image });
  }

  async bundleContainer(container: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Download container %1?', container),
        this._trans.__(
          'The file has its changed files, its image, and its variables as they are, also secret ones. Whoever gets it can read them.'
        ),
        this._trans.__('Download')
      )
    ) {
      this._model.client.download('bundle', { container });
    }
  }

  async removeImage(image: string): Promise<void> {
    const found = this._model.image(image);
    const used = found?.containers ?? [];
    const text = [
      used.length > 0
        ? this._trans.__('Containers made of it: %1. Remove these first.', used.join(', '))
        : this._trans.__('Layers that no other image needs are removed with it.'),
      found?.kernelspecs.length ? this._trans.__('Its kernels go from the launcher.') : ''
    ].join(' ');
    if (await this._sure(this._trans.__('Remove image %1?', image), text, this._trans.__('Remove image'))) {
      await this.attempt(() => this._model.client.removeImage(image));
    }
  }

  // -- containers

  createContainer(image: string): Promise<boolean> {
    return this.attempt(async () => {
      const made = await this._model.client.createContainer(image);
      await this._model.containers.refresh();
      this._model.current = made.name;
    });
  }

  openTerminal(container: string): Promise<boolean> {
    return this.attempt(async () => {
      const { name } = await this._model.client.terminal(container);
      await this._app.commands.execute('terminal:open', { name });
    });
  }

  async commit(container: string): Promise<void> {
    const from = this._find(container)?.familiar ?? container;
    const answer = await InputDialog.getText({
      title: this._trans.__('Make an image of container %1', container),
      label: this._trans.__('Name of the new image'),
      text: this._freeName(`${from.split('/').pop()!.split(':')[0]}:changed`),
      okLabel: this._trans.__('Commit')
    });
    const image = answer.value?.trim();
    if (!answer.button.accept || !image) {
      return;
    }
    if (
      this._model.image(image) === undefined ||
      (await this._sure(
        this._trans.__('Replace image %1?', image),
        this._trans.__('There is an image of that name. It loses its name, and is gone with the next freeing of space.'),
        this._trans.__('Replace image')
      ))
    ) {
      await this.attempt(async () =>
        this._model.begin(await this._model.client.commit(container, image, ''))
      );
    }
  }

  private _freeName(name: string): string {
    let free = name;
    for (let count = 2; this._model.image(free) !== undefined; count += 1) {
      free = `${name}-${count}`;
    }
    return free;
  }

  async reset(container: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Reset container %1?', container),
        this._ownKernels(container).length > 0
          ? this._trans.__(
              "Its notebook gets a new kernel in a new container: changed files, the kernel's memory, variables that were changed, and links are gone."
            )
          : this._trans.__(
              'What runs in it is ended, and all its changed files are as the image has them again.'
            ),
        this._trans.__('Reset container')
      )
    ) {
      await this.attempt(() => this._reset(container));
    }
  }

  /**
   * A container that is a kernel's alone is reset by a new kernel in its place, which gets a new
   * one. Otherwise kernels are shut down first, or Jupyter would start them again meanwhile.
   */
  private async _reset(container: string): Promise<void> {
    const own = this._ownKernels(container);
    if (own.length === 0) {
      await this.end(container, name => this._model.client.reset(name));
      return;
    }
    for (const kernel of own) {
      await this._renew(kernel);
    }
    await this._model.containers.refresh();
  }

  /**
   * Another kernel in the place of this one. Where its notebook is open, that does it: it says
   * that its kernel starts, in place of looking ready as long as the old one is not gone.
   */
  private async _renew({ id, name }: IKernel): Promise<void> {
    const open = this._contextOf(id);
    if (open !== undefined) {
      await open.changeKernel({ name: name! });
      return;
    }
    const { sessions } = this._app.serviceManager;
    await sessions.refreshRunning();
    for (const model of sessions.running()) {
      if (model.kernel?.id === id) {
        const session = sessions.connectTo({ model });
        try {
          await session.changeKernel({ name: name! });
        } finally {
          session.dispose();
        }
      }
    }
  }

  /** What connects a notebook or console of this page to that kernel. */
  private _contextOf(kernel: string): ISessionContext | undefined {
    for (const widget of this._app.shell.widgets('main')) {
      const { sessionContext } = widget as { sessionContext?: ISessionContext };
      if (sessionContext?.session?.kernel?.id === kernel) {
        return sessionContext;
      }
    }
    return undefined;
  }

  async stop(container: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Stop what runs in container %1?', container),
        this._runs(container),
        this._trans.__('Stop container')
      )
    ) {
      await this.attempt(() => this.end(container, name => this._model.client.stop(name)));
    }
  }

  /**
   * Shut down the container's kernels as Jupyter does it, since one that just ends is started
   * again, and then do the rest. A container that is its kernel's alone goes with it.
   */
  async end(container: string, rest: (container: string) => Promise<unknown>): Promise<void> {
    const kernels = (this._find(container)?.kernels ?? []).filter(({ here }) => here);
    for (const { id } of kernels) {
      await this._app.serviceManager.kernels.shutdown(id);
    }
    try {
      await rest(container);
    } catch (reason) {
      if (kernels.length === 0 || asProblem(reason).code !== 'container-unknown') {
        throw reason;
      }
    }
    await this._model.containers.refresh();
  }

  async removeContainer(container: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Remove container %1?', container),
        `${this._runs(container)} ${this._trans.__('Its changed files are lost.')}`,
        this._trans.__('Remove container')
      )
    ) {
      await this.attempt(() => this.end(container, name => this._model.client.remove(name)));
    }
  }

  async collectGarbage(): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Free unused space?'),
        this._trans.__('Layers that no image needs and remains of broken downloads are removed.'),
        this._trans.__('Free space')
      )
    ) {
      await this.attempt(async () => this._model.begin(await this._model.client.collectGarbage()));
    }
  }

  // -- calls

  async removeLink(container: string, link: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Take %1 away from container %2?', link, container),
        this._trans.__('Programs of the container can no longer call it.'),
        this._trans.__('Remove link')
      )
    ) {
      await this.attempt(() => this._model.client.removeLink(container, link));
    }
  }

  async unexpose(container: string, command: string): Promise<void> {
    if (
      await this._sure(
        this._trans.__('Remove the command %1?', command),
        this._trans.__('The program of container %1 that it runs stays as it is.', container),
        this._trans.__('Remove command')
      )
    ) {
      await this.attempt(() => this._model.client.unexpose(container, command));
    }
  }

  /** Show the container in the panel. */
  show(container: string): void {
    this._model.current = container;
    this.execute(CommandIds.showPanel);
  }

  /** Kernels of notebooks of this server that have the container for themselves. */
  private _ownKernels(container: string): IKernel[] {
    return (this._find(container)?.kernels ?? []).filter(
      one => one.here && one.own && one.name !== null && one.sessions.length > 0
    );
  }

  private _find(container: string): IContainer | undefined {
    return this._model.containers.value?.find(({ name }) => name === container);
  }

  private _runs(container: string): string {
    const count = this._find(container)?.processes.length ?? 0;
    return count === 0
      ? this._trans.__('Nothing runs in it.')
      : this._trans._n('One program of it is ended.', '%1 programs of it are ended.', count);
  }

  private async _sure(title: string, body: string, label: string): Promise<boolean> {
    const answer = await showDialog({
      title,
      body,
      buttons: [
        Dialog.cancelButton({ label: this._trans.__('Cancel') }),
        Dialog.warnButton({ label })
      ],
      defaultButton: 0
    });
    return answer.button.accept;
  }
}
