import { ILabShell, ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStateDB } from '@jupyterlab/statedb';

import { FIRST_OPEN, Panel } from '../components/panel';
import { lpmxIcon } from '../icon';
import { CommandIds } from './ids';
import { ILpmx } from './tokens';

const ID = 'lpmx-jupyter:panel';
const STATE = 'lpmx-jupyter:open-sections';
const INTERVAL = 3;
const RANK = 600;

/** The panel in the side bar. */
export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'The LPMX panel: images, containers, environment, calls, GPUs.',
  autoStart: true,
  requires: [ILpmx],
  optional: [ILabShell, ILayoutRestorer, ICommandPalette, ISettingRegistry, IStateDB],
  activate: (
    app: JupyterFrontEnd,
    lpmx: ILpmx,
    _labShell: ILabShell | null,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    state: IStateDB | null
  ): void => {
    const { model, actions, trans } = lpmx;
    const panel = new Panel({ model, actions, trans, interval: INTERVAL }, FIRST_OPEN, open => {
      void state?.save(STATE, open);
    });
    panel.title.icon = lpmxIcon;
    panel.title.caption = trans.__('LPMX: images and containers');
    let added = '';
    const place = (side: string): void => {
      if (side !== added) {
        added = side;
        const open = panel.isVisible;
        app.shell.add(panel, side, { rank: RANK, type: 'LPMX' });
        if (open) {
          app.shell.activateById(panel.id);
        }
      }
    };

    const useSettings = async (): Promise<void> => {
      if (settings === null) {
        return;
      }
      const own = await settings.load(ID);
      const apply = (): void => {
        place(own.get('side').composite as string);
        panel.setInterval(own.get('interval').composite as number);
      };
      own.changed.connect(apply);
      apply();
      // a layout that was kept has put it back to where it was
      void app.restored.then(() => {
        if (own.get('side').user !== undefined) {
          added = '';
          apply();
        }
      });
    };
    useSettings().catch(reason => {
      console.warn('LPMX: the settings cannot be read', reason);
    }).finally(() => {
      if (added === '') {
        place('left');
      }
      restorer?.add(panel, panel.id);
    });
    void state?.fetch(STATE).then(open => {
      if (Array.isArray(open)) {
        panel.setOpen(open.map(String));
      }
    });

    app.commands.addCommand(CommandIds.showPanel, {
      label: trans.__('Show the LPMX Panel'),
      caption: trans.__('Images, containers, environment, calls and GPUs'),
      icon: lpmxIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        app.shell.activateById(panel.id);
      }
    });
    palette?.addItem({ command: CommandIds.showPanel, category: 'LPMX' });
  }
};
