import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ReactWidget } from '@jupyterlab/apputils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Signal } from '@lumino/signaling';
import React from 'react';

import type { IContainer } from '../api/types';
import { lpmxIcon } from '../icon';
import { ILpmx } from './tokens';

class StatusItem extends ReactWidget {
  constructor(
    private _lpmx: ILpmx,
    private _container: () => IContainer | undefined
  ) {
    super();
  }

  render(): JSX.Element {
    const { actions, trans } = this._lpmx;
    const container = this._container();
    return container ? (
      <button
        type="button"
        className="lpmx-Status-button"
        title={trans.__('This notebook runs in container %1; show it in the panel', container.name)}
        onClick={() => actions.show(container.name)}
      >
        <lpmxIcon.react tag="span" className="lpmx-Icon" />
        {container.familiar}
      </button>
    ) : (
      <></>
    );
  }
}

/** The image that the notebook in front runs in. */
export const statusPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:status',
  description: "The notebook's image in the status bar.",
  autoStart: true,
  requires: [ILpmx],
  optional: [IStatusBar],
  activate: (_app: JupyterFrontEnd, lpmx: ILpmx, statusBar: IStatusBar | null): void => {
    if (statusBar === null) {
      return; // Notebook has none
    }
    const { model } = lpmx;
    const owner = {};
    const changed = new Signal<object, void>(owner);
    const found = () => model.containers.value?.find(({ name }) => name === lpmx.container());
    let shown: string | undefined;
    const item = new StatusItem(lpmx, found);
    const update = (): void => {
      const now = found()?.name;
      if (now !== shown) {
        shown = now;
        item.update();
        changed.emit();
      }
    };
    model.containers.changed.connect(update);
    lpmx.kernelChanged.connect(update);
    statusBar.registerStatusItem('lpmx-jupyter:status', {
      item,
      align: 'left',
      rank: 3,
      isActive: () => shown !== undefined,
      activeStateChanged: changed
    });
  }
};
