import { ISignal, Signal } from '@lumino/signaling';

import { asProblem, Client, LpmxError } from '../api/client';
import { EventStream, IEvent } from '../api/events';
import type * as api from '../api/types';
import { Resource } from './resource';

/** A task came, went, or moved on; `before` is what it was, if we knew it. */
export interface ITaskChange {
  task: api.ITask;
  before: api.ITask | undefined;
}

/** Milliseconds after which a task is asked for that no event told of. */
const LONGEST_WAIT = 3000;

/** A file on its way to the server. */
export interface IUpload {
  name: string;
  sent: number;
  total: number;
  cancel: () => void;
}

export function isRunning(task: api.ITask): boolean {
  return task.state === 'running' || task.state === 'cancelling';
}

/**
 * Everything that the panel, the launcher and the rest of the page show, kept in step with the
 * server by its events. There is one of it in a page.
 */
export class Model {
  constructor(readonly client: Client) {
    this.info = new Resource(() => client.get<api.IInfo>('info'));
    this.images = new Resource(() => client.get<api.IImage[]>('images'));
    this.containers = new Resource(() => client.get<api.IContainer[]>('containers'));
    this.kernelspecs = new Resource(() => client.get<api.IKernelspec[]>('kernelspecs'));
    this.findings = new Resource(() => client.get<api.IFinding[]>('check'));
    this.usage = new Resource(() => client.get<api.IUsage>('usage'));
    this.gpuUsage = new Resource(() => client.get<api.IGpuUsage>('gpu/usage'));
    this._events = new EventStream(client);
    this._events.received.connect(this._onEvent, this);
    this._events.connectionChanged.connect(this._onConnection, this);
  }

  readonly info: Resource<api.IInfo>;
  readonly images: Resource<api.IImage[]>;
  readonly containers: Resource<api.IContainer[]>;
  readonly kernelspecs: Resource<api.IKernelspec[]>;
  readonly findings: Resource<api.IFinding[]>;
  readonly usage: Resource<api.IUsage>;
  readonly gpuUsage: Resource<api.IGpuUsage>;

  /** The server said that something is not as it was. */
  get changed(): ISignal<this, api.IChanged> {
    return this._changed;
  }

  /** The list of tasks, or one of them, is another. */
  get tasksChanged(): ISignal<this, void> {
    return this._tasksChanged;
  }

  /** One task, each time it changes. */
  get taskChanged(): ISignal<this, ITaskChange> {
    return this._taskChanged;
  }

  /** `connected` or `current` changed. */
  get stateChanged(): ISignal<this, void> {
    return this._stateChanged;
  }

  /** Whether events come; null until that is known. */
  get connected(): boolean | null {
    return this._connected;
  }

  /** The container whose variables and calls are shown; null if none is chosen. */
  get current(): string | null {
    return this._current;
  }

  set current(name: string | null) {
    if (name !== this._current) {
      this._current = name;
      this._stateChanged.emit();
    }
  }

  /** Why the server does not tell us what happens; null if it does, or cannot be reached. */
  get refusal(): LpmxError | null {
    return this._events.refusal;
  }

  /** Files that are being sent; `tasksChanged` tells. */
  get uploads(): readonly IUpload[] {
    return this._uploads;
  }

  /**
   * Send a file; it becomes a task when it has arrived. Nothing is sent any more once it is
   * cancelled, and no error is thrown then.
   */
  async upload(file: File): Promise<void> {
    const abort = new AbortController();
    const upload: IUpload = { name: file.name, sent: 0, total: file.size, cancel: () => abort.abort() };
    const hold = (event: BeforeUnloadEvent): void => event.preventDefault();
    window.addEventListener('beforeunload', hold);
    this._uploads.push(upload);
    this._tasksChanged.emit();
    try {
      const progress = (sent: number): void => {
        upload.sent = sent;
        this._tasksChanged.emit();
      };
      this.begin(await this.client.upload(file, progress, abort.signal));
    } catch (reason) {
      if (!abort.signal.aborted) {
        throw reason;
      }
    } finally {
      window.removeEventListener('beforeunload', hold);
      this._uploads.splice(this._uploads.indexOf(upload), 1);
      this._tasksChanged.emit();
    }
  }

  /**
   * Say that processes are looked at, until what is returned is called. While nobody looks,
   * nobody asks for them.
   */
  watchProcesses(): () => void {
    this._watchers += 1;
    if (this._stale) {
      this._stale = false;
      void this.containers.refresh();
    }
    return () => {
      this._watchers -= 1;
    };
  }

  /** Tasks, the newest first. */
  tasks(...kinds: api.TaskKind[]): api.ITask[] {
    return [...this._tasks.values()]
      .filter(task => kinds.length === 0 || kinds.includes(task.kind))
      .sort((one, other) => other.created - one.created);
  }

  /** The container of a kernel, by Jupyter's id of it. */
  containerOf(kernel: string): api.IContainer | undefined {
    return this.containers.value?.find(container =>
      container.kernels.some(({ id }) => id === kernel)
    );
  }

  /** The image of that name, as people write it, with what they leave out, or whole. */
  image(name: string): api.IImage | undefined {
    const tagged = /[:@]/.test(name.slice(name.lastIndexOf('/') + 1)) ? name : `${name}:latest`;
    const meant = ['', 'docker.io/', 'docker.io/library/'].map(where => where + tagged);
    return this.images.value?.find(
      image => image.familiar === name || image.familiar === tagged || meant.includes(image.name)
    );
  }

  /** Take over a task that an answer told, before its first event does. */
  begin(task: api.ITask): void {
    if (!this._tasks.has(task.id)) {
      this._put(task);
    }
  }

  /**
   * The task when it has ended, also where no event tells.
   *
   * @throws {LpmxError} if it failed or was cancelled
   */
  async outcome(task: api.ITask): Promise<api.ITask> {
    this.begin(task);
    let now = this._tasks.get(task.id) ?? task;
    while (isRunning(now)) {
      const told = new Promise<void>(resolve => {
        const slot = (_: this, change: ITaskChange): void => {
          if (change.task.id === task.id) {
            this.taskChanged.disconnect(slot);
            resolve();
          }
        };
        this.taskChanged.connect(slot);
      });
      await Promise.race([told, new Promise(resolve => setTimeout(resolve, LONGEST_WAIT))]);
      const known = this._tasks.get(task.id);
      now =
        known && (this._connected || !isRunning(known))
          ? known
          : await this.client.get<api.ITask>(`tasks/${task.id}`);
    }
    if (now.state !== 'succeeded') {
      throw new LpmxError(now.error ?? { message: this.client.trans.__('%1: cancelled', now.title), hint: null, code: 'cancelled' });
    }
    return now;
  }

  /** Cancel it if it runs, else forget it. */
  async endTask(task: api.ITask): Promise<void> {
    try {
      await this.client.endTask(task.id);
    } catch (reason) {
      // forgotten there, or of a server that is gone
      if (isRunning(task) || asProblem(reason).code !== 'task-unknown') {
        throw reason;
      }
    }
    if (!isRunning(task)) {
      this._forget(task.id);
    }
  }

  /** Connect again now, if the connection is gone. */
  reconnect(): void {
    this._events.retry();
  }

  dispose(): void {
    this._events.dispose();
    for (const resource of this._resources()) {
      resource.dispose();
    }
    Signal.clearData(this);
  }

  private _resources(): Resource<unknown>[] {
    return [this.info, this.images, this.containers, this.kernelspecs, this.findings, this.usage, this.gpuUsage];
  }

  private _onConnection(_: EventStream, connected: boolean): void {
    this._connected = connected;
    this._stateChanged.emit();
    if (connected) {
      // what changed while nobody listened
      for (const resource of [this.info, this.images, this.containers, this.kernelspecs]) {
        void resource.refresh();
      }
    }
  }

  private _onEvent(_: EventStream, event: IEvent): void {
    switch (event.name) {
      case 'hello': {
        const { tasks } = event.data;
        const known = new Set(tasks.map(({ id }) => id));
        const another = this._server !== undefined && this._server !== event.data.server;
        this._server = event.data.server;
        for (const task of [...this._tasks.values()].filter(({ id }) => !known.has(id))) {
          if (another && isRunning(task)) {
            this._put({ ...task, state: 'failed', error: this._endedWithServer(task) });
          } else {
            this._tasks.delete(task.id);
          }
        }
        tasks.forEach(task => this._put(task));
        this._tasksChanged.emit();
        break;
      }
      case 'task':
        this._put(event.data);
        break;
      case 'forgotten':
        this._forget(event.data.id);
        break;
      case 'changed':
        this._onChanged(event.data);
        break;
    }
  }

  private _onChanged(change: api.IChanged): void {
    switch (change.what) {
      case 'images':
        void this.images.refresh();
        break;
      case 'processes':
        if (this._watchers === 0) {
          this._stale = true;
          break;
        }
        void this.containers.refresh();
        break;
      case 'containers':
      case 'kernels':
        void this.containers.refresh();
        if (change.what === 'containers') {
          void this.images.refresh();
        }
        break;
      case 'kernelspecs':
        void this.kernelspecs.refresh();
        void this.images.refresh();
        break;
    }
    this._changed.emit(change);
  }

  private _endedWithServer({ title }: api.ITask): api.IProblem {
    const { trans } = this.client;
    return {
      message: trans.__('cannot finish "%1": the Jupyter server was started again', title),
      hint: trans.__('begin it again; what had arrived is kept'),
      code: 'server-restarted'
    };
  }

  private _put(task: api.ITask): void {
    const before = this._tasks.get(task.id);
    this._tasks.set(task.id, task);
    this._tasksChanged.emit();
    this._taskChanged.emit({ task, before });
  }

  private _forget(id: string): void {
    if (this._tasks.delete(id)) {
      this._tasksChanged.emit();
    }
  }

  private _events: EventStream;
  private _tasks = new Map<string, api.ITask>();
  private _uploads: IUpload[] = [];
  private _server: string | undefined;
  private _watchers = 0;
  private _stale = false;
  private _connected: boolean | null = null;
  private _current: string | null = null;
  private _changed = new Signal<this, api.IChanged>(this);
  private _tasksChanged = new Signal<this, void>(this);
  private _taskChanged = new Signal<this, ITaskChange>(this);
  private _stateChanged = new Signal<this, void>(this);
}
