import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import type { ITask } from '../api/types';
import { ITaskChange, Model, isRunning } from '../model/model';
import { CommandIds } from './ids';
import { ILpmx } from './tokens';

/** Says how a task ended that was seen running, with what may come next. */
export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:notifications',
  description: 'Says how long work ended.',
  autoStart: true,
  requires: [ILpmx],
  activate: (_app: JupyterFrontEnd, { model, actions, trans }: ILpmx): void => {
    const succeeded = (task: ITask): void => {
      const image = task.result?.images[0];
      const options = { autoClose: 10_000 as const };
      if (image === undefined) {
        Notification.success(trans.__('Done: %1', task.title), options);
        return;
      }
      Notification.success(trans.__('Image %1 is there', image), {
        ...options,
        actions: [
          {
            label: trans.__('New Notebook'),
            caption: trans.__('New notebook in %1', image),
            callback: () => actions.execute(CommandIds.newNotebook, { image })
          }
        ]
      });
    };

    const failed = (task: ITask): void => {
      const { image, error } = task;
      Notification.error(error!.message, {
        autoClose: false,
        actions: [
          ...actions.details(error!),
          ...(task.kind === 'pull' && image !== null
            ? [{ label: trans.__('Try Again'), callback: () => void actions.pull(image) }]
            : []),
          { label: trans.__('Show'), callback: () => actions.execute(CommandIds.showPanel) }
        ]
      });
    };

    model.taskChanged.connect((_: Model, { task, before }: ITaskChange) => {
      if (before === undefined || !isRunning(before) || isRunning(task)) {
        return;
      }
      if (task.kind === 'kernelspecs') {
        return; // whoever began it waits for it, and tells
      }
      if (task.state === 'succeeded') {
        succeeded(task);
      } else if (task.state === 'failed' && task.error !== null) {
        failed(task);
      }
    });
  }
};
