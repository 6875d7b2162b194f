import type { TranslationBundle } from '@jupyterlab/translation';
import { Token } from '@lumino/coreutils';
import type { ISignal } from '@lumino/signaling';

import type { Model } from '../model/model';
import type { Actions } from './actions';

/** What our plugins share, and other extensions may use. */
export interface ILpmx {
  readonly model: Model;
  readonly actions: Actions;
  readonly trans: TranslationBundle;
  /** Kernel of the notebook that is in front; null if that has none. */
  readonly kernel: string | null;
  readonly kernelChanged: ISignal<ILpmx, void>;
  setKernel(id: string | null): void;
  /** The container of that kernel, if it runs in one. */
  container(): string | null;
}

export const ILpmx = new Token<ILpmx>(
  'lpmx-jupyter:ILpmx',
  'Images, containers and kernels of LPMX, and what can be done with them.'
);
