import type { TranslationBundle } from '@jupyterlab/translation';
import type { ISignal } from '@lumino/signaling';
import React from 'react';

import type { IChanged } from '../api/types';
import type { Actions } from '../lab/actions';
import type { Model } from '../model/model';
import type { Resource } from '../model/resource';

/** What every component may count on. */
export interface ISurroundings {
  model: Model;
  actions: Actions;
  trans: TranslationBundle;
  /** Seconds between two looks at what events do not tell: CPU, memory, GPUs. */
  interval: number;
}

export const Surroundings = React.createContext<ISurroundings>(null as unknown as ISurroundings);

export function useSurroundings(): ISurroundings {
  return React.useContext(Surroundings);
}

/** Render again whenever the signal is emitted. */
export function useSignal<S, A>(signal: ISignal<S, A>): void {
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  React.useEffect(() => {
    const slot = (): void => again();
    signal.connect(slot);
    again(); // what was emitted between rendering and now
    return () => {
      signal.disconnect(slot);
    };
  }, [signal]);
}

/** The resource, asked for when it is first shown; renders again when it changes. */
export function useResource<T>(resource: Resource<T>): Resource<T> {
  useSignal(resource.changed);
  React.useEffect(() => resource.want(), [resource]);
  return resource;
}

/** Refresh while this is shown, and the page is. */
export function usePolling(resource: Resource<unknown>, seconds: number): void {
  React.useEffect(() => {
    const timer = setInterval(() => {
      if (!document.hidden) {
        void resource.refresh();
      }
    }, seconds * 1000);
    return () => clearInterval(timer);
  }, [resource, seconds]);
}

/** A resource of this component's own, made anew when one of `inputs` changes. */
export function useOwnResource<T>(make: () => Resource<T>, inputs: unknown[]): Resource<T> {
  // oxlint-disable-next-line react/use-memo, react-hooks/exhaustive-deps -- as the caller says
  const resource = React.useMemo(make, inputs);
  React.useEffect(() => () => resource.dispose(), [resource]);
  return useResource(resource);
}

/** Refresh the resource when the server says that something of this container changed. */
export function useRefreshOn(
  resource: Resource<unknown>,
  what: IChanged['what'],
  container: string
): void {
  const { model } = useSurroundings();
  React.useEffect(() => {
    const slot = (_: Model, change: IChanged): void => {
      if (change.what === what && (change.container === container || change.container === null)) {
        void resource.refresh();
      }
    };
    model.changed.connect(slot);
    return () => {
      model.changed.disconnect(slot);
    };
  }, [model, resource, what, container]);
}

/** What a form does when it is submitted, not again while that is under way. */
export function useOnce(work: () => Promise<unknown>): [boolean, (event: React.FormEvent) => void] {
  const [busy, setBusy] = React.useState(false);
  const submit = (event: React.FormEvent): void => {
    event.preventDefault();
    if (!busy) {
      setBusy(true);
      void work().finally(() => setBusy(false));
    }
  };
  return [busy, submit];
}
