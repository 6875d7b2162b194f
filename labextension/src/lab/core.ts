import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';

import { Client } from '../api/client';
import { Model } from '../model/model';
import { Actions } from './actions';
import { ILpmx } from './tokens';

class Lpmx implements ILpmx {
  constructor(
    readonly model: Model,
    readonly actions: Actions,
    readonly trans: ILpmx['trans']
  ) {}

  readonly kernelChanged: Signal<ILpmx, void> = new Signal<ILpmx, void>(this);

  get kernel(): string | null {
    return this._kernel;
  }

  setKernel(id: string | null): void {
    if (id !== this._kernel) {
      this._kernel = id;
      this.kernelChanged.emit();
    }
  }

  container(): string | null {
    return this._kernel === null ? null : (this.model.containerOf(this._kernel)?.name ?? null);
  }

  private _kernel: string | null = null;
}

/** The model that everything else shows. */
export const corePlugin: JupyterFrontEndPlugin<ILpmx> = {
  id: 'lpmx-jupyter:core',
  description: 'Keeps in step with the images and containers of the server.',
  autoStart: true,
  provides: ILpmx,
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, translator: ITranslator | null): ILpmx => {
    const trans = (translator ?? nullTranslator).load('lpmx-jupyter');
    const model = new Model(new Client(trans, app.serviceManager.serverSettings));
    return new Lpmx(model, new Actions(model, app, trans), trans);
  }
};
