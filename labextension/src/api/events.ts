import { ISignal, Signal } from '@lumino/signaling';

import { asProblem, Client, LpmxError } from './client';
import type { IChanged, ITask } from './types';

/** What the server tells by itself; openapi.yaml describes it. */
export type IEvent =
  | { name: 'hello'; data: { server: string; tasks: ITask[] } }
  | { name: 'task'; data: ITask }
  | { name: 'forgotten'; data: { id: string } }
  | { name: 'changed'; data: IChanged };

/** Takes pieces of a stream of server-sent events, and gives the events that are whole. */
export class EventParser {
  /** The events that end in this piece (HTML standard, "Interpreting an event stream"). */
  push(text: string): IEvent[] {
    this._rest += text;
    const lines = this._rest.split(/\r\n|\n|\r(?!$)/);
    this._rest = lines.pop() ?? '';
    const found: IEvent[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this._data.length > 0) {
          found.push({ name: this._name || 'message', data: JSON.parse(this._data.join('\n')) } as IEvent);
        }
        this._name = '';
        this._data = [];
        continue;
      }
      const at = line.indexOf(':');
      const field = at < 0 ? line : line.slice(0, at);
      const value = at < 0 ? '' : line.slice(at + 1).replace(/^ /, '');
      if (field === 'event') {
        this._name = value;
      } else if (field === 'data') {
        this._data.push(value);
      }
    }
    return found;
  }

  private _rest = '';
  private _name = '';
  private _data: string[] = [];
}

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
/** The server says something every 15 seconds. */
const LONGEST_SILENCE = 45_000;
/** Milliseconds that a page may be hidden before it stops to listen. */
const HIDDEN = 1500;

/**
 * The server's stream of events, for as long as it is not disposed. A stream that ends is asked
 * for again, sooner at first and then ever more seldom; where the server refuses it, only when
 * somebody wants that. It comes over a websocket: of other connections browsers make six to a
 * server for all tabs together, and one that waits is one less for kernels and notebooks.
 *
 * A page that is hidden does not listen. It is told what it missed when it is seen again.
 */
export class EventStream {
  constructor(private _client: Client) {
    document.addEventListener('visibilitychange', this._onVisibility);
    void this._listen();
  }

  /** Why the server does not let us listen; null if it does, or cannot be reached. */
  get refusal(): LpmxError | null {
    return this._refusal;
  }

  get received(): ISignal<this, IEvent> {
    return this._received;
  }

  /** Whether the stream is open; emitted when that changes. */
  get connectionChanged(): ISignal<this, boolean> {
    return this._connectionChanged;
  }

  /** Try again now, if it waits. */
  retry(): void {
    this._wait = FIRST_WAIT;
    this._wake?.();
  }

  dispose(): void {
    this._disposed = true;
    document.removeEventListener('visibilitychange', this._onVisibility);
    clearTimeout(this._hiding);
    this._socket?.close();
    this._wake?.();
    Signal.clearData(this);
  }

  private async _listen(): Promise<void> {
    while (!this._disposed) {
      if (this._asleep) {
        await this._woken();
        continue;
      }
      this._refusal = null;
      try {
        await this._read();
      } catch (reason) {
        const problem = asProblem(reason);
        this._refusal = problem.status >= 400 && problem.status < 500 ? problem : null;
      }
      if (this._disposed || this._asleep) {
        continue;
      }
      this._connectionChanged.emit(false);
      await this._woken(this._refusal === null ? this._wait : undefined);
      this._wait = Math.min(this._wait * 2, LONGEST_WAIT);
    }
  }

  /** When somebody wakes us, or so many milliseconds have gone. */
  private _woken(most?: number): Promise<void> {
    return new Promise(resolve => {
      const timer = most === undefined ? undefined : setTimeout(resolve, most);
      this._wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private _onVisibility = (): void => {
    clearTimeout(this._hiding);
    if (document.hidden) {
      this._hiding = setTimeout(() => {
        this._asleep = true;
        this._socket?.close();
      }, HIDDEN);
    } else if (this._asleep) {
      this._asleep = false;
      this.retry();
    }
  };

  /** Hear a socket to its end. */
  private async _read(): Promise<void> {
    const socket = (this._socket = this._client.socket('events/socket'));
    const parser = new EventParser();
    let opened = false;
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = (): void => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => socket.close(), LONGEST_SILENCE);
    };
    alive();
    await new Promise<void>(resolve => {
      socket.onclose = () => resolve();
      socket.onmessage = ({ data }) => {
        alive();
        opened = true;
        for (const event of parser.push(data)) {
          if (event.name === 'hello') {
            this._wait = FIRST_WAIT;
            this._connectionChanged.emit(true);
          }
          this._received.emit(event);
        }
      };
    });
    clearTimeout(watchdog);
    if (!opened && !this._asleep && !this._disposed) {
      await this._client.get('info'); // a socket does not say why it was refused
    }
  }

  private _received = new Signal<this, IEvent>(this);
  private _connectionChanged = new Signal<this, boolean>(this);
  private _socket: WebSocket | undefined;
  private _wake: (() => void) | undefined;
  private _wait = FIRST_WAIT;
  private _disposed = false;
  private _refusal: LpmxError | null = null;
  private _hiding: ReturnType<typeof setTimeout> | undefined;
  private _asleep = document.hidden;
}
