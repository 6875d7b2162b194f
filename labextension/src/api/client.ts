import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';

import type * as api from './types';

/** An answer that was no success, or none at all, as people are told about it. */
export class LpmxError extends Error {
  /** `status` is that of the answer; 0 if there was none. */
  constructor(
    problem: api.IProblem,
    readonly status = 0
  ) {
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

/** A name without capitals, as kernel specs have them; two names never become one. */
function small(name: string): string {
  return name.replace(/[A-Z_]/g, letter => `_${letter.toLowerCase()}`);
}

/** The server extension's HTTP interface. Every method may throw `LpmxError`. */
export class Client {
  constructor(
    readonly trans: TranslationBundle,
    readonly settings: ServerConnection.ISettings = ServerConnection.makeSettings()
  ) {}

  /** The address of a route, such as `images/pull`. */
  url(route: string, query: Query = {}): string {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const text = given.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`);
    return (
      URLExt.join(this.settings.baseUrl, 'lpmx', 'api', route) +
      (text.length > 0 ? `?${text.join('&')}` : '')
    );
  }

  /** Have the browser save what a route answers with as a file. */
  download(route: string, query: Query): void {
    const { appendToken, token } = this.settings;
    const link = document.createElement('a');
    link.href = this.url(route, appendToken && token ? { ...query, token } : query);
    link.download = '';
    document.body.append(link);
    link.click();
    link.remove();
  }

  /** A websocket to a route, logged in as kernels' are. */
  socket(route: string): WebSocket {
    const { wsUrl, appendToken, token, WebSocket } = this.settings;
    const url = URLExt.join(wsUrl, 'lpmx', 'api', route);
    return new WebSocket(appendToken && token ? `${url}?token=${encodeURIComponent(token)}` : url);
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
    } catch {
      throw this._unreachable();
    }
    if (!response.ok) {
      throw this._problem(response.status, response.statusText, await response.text());
    }
    return response;
  }

  private _unreachable(): LpmxError {
    return new LpmxError({
      message: this.trans.__('cannot reach the Jupyter server: there was no answer'),
      hint: this.trans.__('see whether it still runs; if it does, what was begun there goes on'),
      code: 'unreachable'
    });
  }

  private _problem(status: number, statusText: string, body: string): LpmxError {
    let said: Partial<api.IProblem> = {};
    try {
      said = JSON.parse(body);
    } catch {
      // not ours: a proxy's page, or the server without the extension
    }
    const missing = said.code === undefined && status === 404;
    return new LpmxError(
      {
        message: said.message ?? this.trans.__('cannot ask the server: %1 %2', status, statusText),
        hint:
          said.hint ??
          (missing
            ? this.trans.__('run "jupyter server extension list": lpmx_jupyter must be enabled')
            : null),
        code: said.code ?? `http-${status}`
      },
      status
    );
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

  /**
   * Send a file and begin to load it; resolves when it has arrived. `progress` hears how many
   * bytes have gone, which `fetch` does not tell.
   */
  upload(file: File, progress: (sent: number) => void, signal: AbortSignal): Promise<api.ITask> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open('POST', this.url('images/upload', { filename: file.name }));
      request.setRequestHeader('Content-Type', 'application/octet-stream');
      if (this.settings.token) {
        request.setRequestHeader('Authorization', `token ${this.settings.token}`);
      }
      const xsrf = /\b_xsrf=([^;]*)/.exec(document.cookie);
      if (xsrf) {
        request.setRequestHeader('X-XSRFToken', xsrf[1]);
      }
      request.upload.onprogress = ({ loaded }) => progress(loaded);
      request.onerror = () => reject(this._unreachable());
      request.onabort = () => reject(new DOMException('', 'AbortError'));
      request.onload = () => {
        const { status, statusText, responseText } = request;
        try {
          if (status < 400) {
            resolve(JSON.parse(responseText));
            return;
          }
        } catch {
          // a proxy's page
        }
        reject(this._problem(status, statusText, responseText));
      };
      signal.addEventListener('abort', () => request.abort());
      request.send(file);
    });
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

  /** Kernel specs of an image, or one by which notebooks share a container of it. */
  installKernelspecs(image: string, container?: string): Promise<api.ITask> {
    const shared = { container, name: `lpmx-in-${small(container ?? '')}`, display_name: `LPMX: ${container}` };
    return this.send('POST', 'kernelspecs', { image, task: true, ...(container ? shared : {}) });
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

  /** Set what the text of a `.env` file says. */
  loadVariables(container: string, text: string): Promise<api.IVariable[]> {
    return this.send('POST', Client._of(container, 'environment/load'), { text });
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

  hostPrograms(query: string): Promise<api.IPrograms> {
    return this.get('host/programs', { query, limit: 20 });
  }

  programs(container: string, query: string): Promise<api.IPrograms> {
    return this.get(Client._of(container, 'programs'), { query, limit: 20 });
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
