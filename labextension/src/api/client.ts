import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type * as api from './types';

/** An answer that was no success, or none at all, as people are told about it. */
export class LpmxError extends Error {
  constructor(problem: api.IProblem) {
    super(problem.message);
    this.name = 'LpmxError';
    this.hint = problem.hint;
    this.code = problem.code;
  }

  readonly hint: string | null;
  readonly code: string;
}

/** Whatever was thrown, as an `LpmxError`. */
export function asProblem(reason: unknown): LpmxError {
  return reason instanceof LpmxError
    ? reason
    : new LpmxError({
        message: reason instanceof Error ? reason.message : String(reason),
        hint: null,
        code: 'unreachable'
      });
}

type Query = Record<string, string | number | boolean | undefined>;

/** The server extension's HTTP interface. Every method may throw `LpmxError`. */
export class Client {
  constructor(readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()) {}

  /** The address of a route, such as `images/pull`. */
  url(route: string, query: Query = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
    return (
      URLExt.join(this.settings.baseUrl, 'lpmx', 'api', route) +
      (text.length > 0 ? `?${text.join('&')}` : '')
    );
  }

  /** Ask, and return the response of a success with its body not yet read. */
  async open(
    method: string,
    route: string,
    query: Query = {},
    init: RequestInit = {}
  ): Promise<Response> {
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(
        this.url(route, query),
        { cache: 'no-cache', ...init, method },
        this.settings
      );
    } catch (reason) {
      if ((reason as Error)?.name === 'AbortError') {
        throw reason;
      }
      throw new LpmxError({
        message: 'cannot reach the Jupyter server: there was no answer',
        hint: 'see whether it still runs; what was begun there goes on',
        code: 'unreachable'
      });
    }
    if (!response.ok) {
      throw await Client._problem(response);
    }
    return response;
  }

  private static async _problem(response: Response): Promise<LpmxError> {
    let said: Partial<api.IProblem> = {};
    try {
      said = await response.json();
    } catch {
      // not ours: a proxy's page, or the server without the extension
    }
    return new LpmxError({
      message: said.message ?? `cannot ask the server: ${response.status} ${response.statusText}`,
      hint:
        said.hint ??
        (said.code === undefined && response.status === 404
          ? 'run "jupyter server extension list": lpmx_jupyter must be enabled'
          : null),
      code: said.code ?? `http-${response.status}`
    });
  }

  async get<T>(route: string, query: Query = {}): Promise<T> {
    return (await this.open('GET', route, query)).json();
  }

  async send<T>(method: string, route: string, body?: unknown, query: Query = {}): Promise<T> {
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const response = await this.open(method, route, query, init);
    return response.status === 204 ? (undefined as T) : response.json();
  }

  // -- images

  /** Begin to pull; how it goes is told by events. `reference` is as the user typed it. */
  pull(reference: string, insecure = false): Promise<api.ITask> {
    return this.send('POST', 'images/pull', { reference, insecure });
  }

  load(path: string): Promise<api.ITask> {
    return this.send('POST', 'images/load', { path });
  }

  /** Send a file and begin to load it; resolves when it has arrived. */
  async upload(file: File): Promise<api.ITask> {
    const response = await this.open('POST', 'images/upload', { filename: file.name }, {
      body: file,
      headers: { 'Content-Type': 'application/octet-stream' }
    });
    return response.json();
  }

  removeImage(image: string): Promise<void> {
    return this.send('DELETE', 'image', undefined, { image });
  }

  imageKernels(image: string): Promise<api.IImageKernels> {
    return this.get('image/kernels', { image });
  }

  tags(repository: string): Promise<string[]> {
    return this.get('registry/tags', { repository });
  }

  search(term: string): Promise<api.IRepository[]> {
    return this.get('registry/search', { term, limit: 10 });
  }

  installKernelspecs(image: string): Promise<api.ITask> {
    return this.send('POST', 'kernelspecs', { image, task: true });
  }

  // -- containers

  private static _of(container: string, what = ''): string {
    return URLExt.join('containers', encodeURIComponent(container), what);
  }

  createContainer(image: string): Promise<api.IContainer> {
    return this.send('POST', 'containers', { image });
  }

  stop(container: string): Promise<unknown> {
    return this.send('POST', Client._of(container, 'stop'), {});
  }

  reset(container: string): Promise<unknown> {
    return this.send('POST', Client._of(container, 'reset'), undefined, { force: true });
  }

  remove(container: string): Promise<void> {
    return this.send('DELETE', Client._of(container), undefined, { force: true });
  }

  commit(container: string, image: string, message: string): Promise<api.ITask> {
    return this.send('POST', Client._of(container, 'commit'), {
      image,
      ...(message ? { message } : {})
    });
  }

  diff(container: string): Promise<api.IDiff> {
    return this.get(Client._of(container, 'diff'), { content: true, limit: 500 });
  }

  terminal(container: string): Promise<{ name: string }> {
    return this.send('POST', Client._of(container, 'terminals'), {});
  }

  // -- environment

  variables(container: string, secrets: boolean): Promise<api.IVariable[]> {
    return this.get(Client._of(container, 'environment'), { secrets });
  }

  changeVariables(
    container: string,
    change: { set?: Record<string, string>; unset?: string[] }
  ): Promise<api.IVariable[]> {
    return this.send('PATCH', Client._of(container, 'environment'), change);
  }

  variableHistory(container: string): Promise<api.IVariableChange[]> {
    return this.get(Client._of(container, 'environment/history'));
  }

  // -- calls

  links(container: string): Promise<api.ILink[]> {
    return this.get(Client._of(container, 'links'));
  }

  addLink(
    container: string,
    name: string,
    target: string
  ): Promise<{ link: api.ILink; notes: string[] }> {
    return this.send('POST', Client._of(container, 'links'), { name, target });
  }

  removeLink(container: string, link: string): Promise<void> {
    return this.send('DELETE', Client._of(container, 'links'), undefined, { link });
  }

  exposed(container: string): Promise<api.IExposed[]> {
    return this.get(Client._of(container, 'exposed'));
  }

  expose(
    container: string,
    program: string
  ): Promise<{ exposed: api.IExposed; notes: string[] }> {
    return this.send('POST', Client._of(container, 'exposed'), { program });
  }

  unexpose(container: string, command: string): Promise<void> {
    return this.send('DELETE', Client._of(container, 'exposed'), undefined, { command });
  }

  hostPrograms(query: string): Promise<api.IHostPrograms> {
    return this.get('host/programs', { query, limit: 20 });
  }

  calls(container: string): Promise<api.ICalls> {
    return this.get('calls', { container, limit: 50 });
  }

  // -- tasks

  /** Cancel a task that runs; forget one that has ended. */
  endTask(id: string): Promise<unknown> {
    return this.send('DELETE', `tasks/${encodeURIComponent(id)}`);
  }

  collectGarbage(): Promise<api.ITask> {
    return this.send('POST', 'gc');
  }

  gpu(container: string | null): Promise<api.IGpu> {
    return this.get('gpu', container === null ? {} : { container });
  }
}
