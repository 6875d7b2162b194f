import { ISignal, Signal } from '@lumino/signaling';

import { LpmxError, asProblem } from '../api/client';

/**
 * Something that the server has and that may change there. The last value is kept while it is
 * asked for again and when asking fails: what people see does not vanish.
 */
export class Resource<T> {
  constructor(private _load: () => Promise<T>) {}

  /** undefined until there was an answer. */
  value: T | undefined;
  /** What the last attempt ended with; null if that was a value. */
  problem: LpmxError | null = null;

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /**
   * Ask again. Requests while one is under way become one more after it, so that what changed
   * meanwhile is not missed.
   */
  refresh(): Promise<void> {
    if (this._running) {
      this._again = true;
      return this._running;
    }
    this._running = this._refresh().finally(() => {
      this._running = undefined;
    });
    return this._running;
  }

  /** Refresh if nobody has asked yet. */
  want(): void {
    if (this.value === undefined && this.problem === null) {
      void this.refresh();
    }
  }

  /** Take over what an answer to something else told. */
  put(value: T): void {
    this.value = value;
    this.problem = null;
    this._changed.emit();
  }

  dispose(): void {
    this._disposed = true;
    Signal.clearData(this);
  }

  private async _refresh(): Promise<void> {
    do {
      this._again = false;
      try {
        const value = await this._load();
        this.value = value;
        this.problem = null;
      } catch (reason) {
        this.problem = asProblem(reason);
      }
      if (!this._disposed) {
        this._changed.emit();
      }
    } while (this._again && !this._disposed);
  }

  private _changed = new Signal<this, void>(this);
  private _running: Promise<void> | undefined;
  private _again = false;
  private _disposed = false;
}
