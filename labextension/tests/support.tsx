/** A page's surroundings for tests: a server made of functions, and its stream of events. */
import { configure, render, RenderResult } from '@testing-library/react';
import React from 'react';
import { afterEach, vi } from 'vitest';

import { Client } from '../src/api/client';
import type { IContainer, IImage, ITask } from '../src/api/types';
import { ISurroundings, Surroundings } from '../src/components/context';
import { Actions } from '../src/lab/actions';
import { Model } from '../src/model/model';

configure({ asyncUtilTimeout: 20_000 }); // of a loaded machine

type Answer = (body: any, query: URLSearchParams) => unknown;

/** Answers requests: `routes['GET images'] = () => [...]`; what is thrown is an error's JSON. */
export class Server {
  refuses = false;
  routes: Record<string, Answer> = {
    'GET info': () => ({ terminals: true, permissions: { write: true, execute: true } }),
    'GET images': () => [],
    'GET containers': () => [],
    'GET kernelspecs': () => []
  };
  asked: string[] = [];

  constructor() {
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => this._answer(url, init));
    vi.stubGlobal('WebSocket', this._socket());
  }

  /** Send an event to all who listen. */
  say(event: string, data: unknown): void {
    const text = `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
    this._listeners.forEach(listener => listener.onmessage({ data: text }));
  }

  /** End every stream of events. */
  hangUp(): void {
    [...this._listeners].forEach(listener => listener.close());
  }

  get listening(): number {
    return this._listeners.length;
  }

  /** A class of sockets that are open as soon as they are made, unless the server refuses. */
  private _socket(): unknown {
    const server = this;
    return class {
      constructor(url: string) {
        server.asked.push(`SOCKET ${url.replace('ws://server/lpmx/api/', '')}`);
        if (server.refuses) {
          setTimeout(() => this.onclose());
        } else {
          server._listeners.push(this);
        }
      }

      close(): void {
        server._listeners = server._listeners.filter(listener => listener !== this);
        setTimeout(() => this.onclose());
      }

      onclose = (): void => undefined;
    };
  }

  private async _answer(address: string, init: RequestInit): Promise<Response> {
    const url = new URL(address);
    const route = `${init.method} ${decodeURIComponent(url.pathname.replace('/lpmx/api/', ''))}`;
    this.asked.push(route);
    if (this.refuses) {
      return new Response('{}', { status: 404, statusText: 'Not Found' });
    }
    const answer = this.routes[route];
    if (answer === undefined) {
      return new Response('no such page', { status: 404, statusText: 'Not Found' });
    }
    const body = typeof init.body === 'string' ? JSON.parse(init.body) : init.body;
    try {
      const value = answer(body, url.searchParams);
      return value === undefined
        ? new Response(null, { status: 204 })
        : new Response(JSON.stringify(value));
    } catch (problem) {
      return new Response(JSON.stringify(problem), { status: 409 });
    }
  }

  private _listeners: any[] = [];
}

const trans: any = {
  __: (text: string, ...values: unknown[]) =>
    text.replace(/%(\d)/g, (_, at) => String(values[Number(at) - 1])),
  _n: (one: string, many: string, count: number) =>
    (count === 1 ? one : many).replace('%1', String(count))
};

export interface IPage extends ISurroundings {
  server: Server;
  execute: ReturnType<typeof vi.fn>;
  /** What is open in the page's middle. */
  open: unknown[];
  /** Jupyter's own sessions and kernels. */
  sessions: any;
  kernels: { shutdown: ReturnType<typeof vi.fn> };
  show: (element: JSX.Element) => RenderResult;
}

const models: Model[] = [];

afterEach(() => {
  models.splice(0).forEach(model => model.dispose());
});

export function page(refuses = false): IPage {
  const server = new Server();
  server.refuses = refuses;
  const model = new Model(new Client(trans));
  models.push(model);
  const execute = vi.fn(async () => undefined);
  const open: unknown[] = [];
  const sessions: any = { refreshRunning: async () => undefined, running: () => [] };
  const kernels = { shutdown: vi.fn(async () => undefined) };
  const app: any = {
    commands: { execute },
    shell: { widgets: () => open },
    serviceManager: { sessions, kernels, kernelspecs: { specs: { kernelspecs: {} }, refreshSpecs: async () => undefined } }
  };
  const actions = new Actions(model, app, trans);
  const surroundings = { model, actions, trans, interval: 1000 };
  return {
    ...surroundings,
    server,
    execute,
    open,
    sessions,
    kernels,
    show: element => render(<Surroundings.Provider value={surroundings}>{element}</Surroundings.Provider>)
  };
}

export function image(familiar: string, more: Partial<IImage> = {}): IImage {
  return {
    name: `docker.io/library/${familiar}`,
    familiar,
    digest: 'sha256:1',
    size: 3 * 1024 * 1024,
    shared: 0,
    origin: 'pulled',
    added: 0,
    live: false,
    store: null,
    support: false,
    containers: [],
    kernelspecs: [],
    ...more
  };
}

export function container(name: string, more: Partial<IContainer> = {}): IContainer {
  return {
    name,
    image: 'docker.io/library/tiny:1',
    familiar: 'tiny:1',
    created: 0,
    temporary: false,
    damaged: false,
    running: false,
    cpu: null,
    memory: 0,
    processes: [],
    kernels: [],
    ...more
  };
}

export function task(id: string, more: Partial<ITask> = {}): ITask {
  return {
    id,
    kind: 'pull',
    title: 'Pull tiny:1',
    state: 'running',
    image: 'tiny:1',
    container: null,
    path: null,
    created: 1,
    finished: null,
    done: 0,
    total: null,
    parts: [],
    notes: [],
    error: null,
    result: null,
    ...more
  };
}
