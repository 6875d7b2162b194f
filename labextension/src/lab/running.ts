import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { Signal } from '@lumino/signaling';

import { lpmxIcon } from '../icon';
import { ILpmx } from './tokens';

/** Containers in which something runs, beside kernels and terminals. */
export const runningPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:running',
  description: 'Containers in the panel of what runs.',
  autoStart: true,
  requires: [ILpmx],
  optional: [IRunningSessionManagers],
  activate: (_app: JupyterFrontEnd, lpmx: ILpmx, managers: IRunningSessionManagers | null): void => {
    if (managers === null) {
      return; // Notebook has it in its tree only
    }
    const { model, actions, trans } = lpmx;
    const running = () => (model.containers.value ?? []).filter(one => one.running);
    const owner = {};
    const runningChanged = new Signal<object, void>(owner);
    model.containers.changed.connect(() => runningChanged.emit());
    managers.add({
      name: trans.__('Containers'),
      running: () =>
        running().map(({ name, familiar, processes }) => ({
          label: () => `${name} (${familiar})`,
          labelTitle: () =>
            trans._n('one program runs in it', '%1 programs run in it', processes.length),
          icon: () => lpmxIcon,
          open: () => actions.show(name),
          shutdown: () => void actions.stop(name)
        })),
      shutdownAll: () =>
        running().forEach(({ name }) => void actions.attempt(() => actions.end(name, one => model.client.stop(one)))),
      refreshRunning: () => void model.containers.refresh(),
      runningChanged,
      shutdownLabel: trans.__('Stop'),
      shutdownAllLabel: trans.__('Stop All'),
      shutdownAllConfirmationText: trans.__('Stop all programs in all containers?')
    });
  }
};
