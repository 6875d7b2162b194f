import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ReactWidget } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import React from 'react';

import { ImageName } from '../components/basics';
import { lpmxIcon } from '../icon';
import { CommandIds } from './ids';
import { ILpmx } from './tokens';

/** In a notebook's toolbar: the image its kernel runs in, and what can be done with the container. */
class ContainerButton extends ReactWidget {
  constructor(
    private _lpmx: ILpmx,
    private _notebook: NotebookPanel
  ) {
    super();
    this.addClass('lpmx-ToolbarButton');
    this._look();
    _lpmx.model.containers.changed.connect(this._look, this);
    _notebook.sessionContext.kernelChanged.connect(this._look, this);
  }

  render(): JSX.Element {
    const { actions, trans } = this._lpmx;
    const container = this._container();
    if (!container) {
      return <></>;
    }
    const items = [
      CommandIds.showContainer,
      CommandIds.openTerminal,
      CommandIds.commitContainer,
      CommandIds.resetContainer
    ].map(command => ({ command, args: { container: container.name } }));
    return (
      <button
        type="button"
        className="lpmx-Button"
        aria-haspopup="menu"
        title={trans.__('This notebook runs in container %1 of %2', container.name, container.familiar)}
        onClick={event => {
          const { left, bottom } = event.currentTarget.getBoundingClientRect();
          actions.openMenu(items, left, bottom);
        }}
      >
        <lpmxIcon.react tag="span" className="lpmx-Icon" />
        <ImageName name={container.familiar ?? container.name} />
      </button>
    );
  }

  dispose(): void {
    if (!this.isDisposed) {
      this._lpmx.model.containers.changed.disconnect(this._look, this);
    }
    super.dispose();
  }

  private _container() {
    const kernel = this._notebook.sessionContext.session?.kernel?.id;
    return kernel === undefined ? undefined : this._lpmx.model.containerOf(kernel);
  }

  private _look(): void {
    const now = this._container()?.name;
    this.setHidden(now === undefined);
    if (now !== this._shown) {
      this._shown = now;
      this.update();
    }
  }

  private _shown: string | undefined;
}

/** Follows the notebook in front, and gives each notebook its button. */
export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:notebook',
  description: "A button for the container of a notebook's kernel.",
  autoStart: true,
  requires: [ILpmx],
  optional: [INotebookTracker],
  activate: (_app: JupyterFrontEnd, lpmx: ILpmx, tracker: INotebookTracker | null): void => {
    if (tracker === null) {
      return; // a page without notebooks
    }
    const { model } = lpmx;
    const follow = (): void => {
      lpmx.setKernel(tracker.currentWidget?.sessionContext.session?.kernel?.id ?? null);
    };
    tracker.currentChanged.connect(follow);
    tracker.widgetAdded.connect((_, notebook) => {
      // not by the registry of documents: each change of that has Notebook load settings too early
      const button = new ContainerButton(lpmx, notebook);
      if (!notebook.toolbar.insertBefore('spacer', 'lpmx-container', button)) {
        notebook.toolbar.addItem('lpmx-container', button);
      }
      notebook.sessionContext.kernelChanged.connect(() => {
        follow();
        // a kernel that has just started is told by an event; one that was there is not
        void model.containers.refresh();
      });
    });

    // the container of the notebook in front is what the panel shows, until people choose another
    let followed: string | null = null;
    const choose = (): void => {
      const container = lpmx.container();
      if (container !== null && container !== followed) {
        followed = container;
        model.current = container;
      }
    };
    lpmx.kernelChanged.connect(() => {
      followed = null;
      choose();
    });
    model.containers.changed.connect(choose);
  }
};
