import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import {
  deleteIcon,
  downloadIcon,
  fileUploadIcon,
  LabIcon,
  notebookIcon,
  saveIcon,
  stopIcon,
  terminalIcon,
  undoIcon
} from '@jupyterlab/ui-components';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';

import { lpmxIcon } from '../icon';
import { CommandIds } from './ids';
import { ILpmx } from './tokens';

interface IOnOne {
  /** The argument that names what it is about; left out, it is the notebook's. */
  about: 'image' | 'container';
  label: string;
  icon: LabIcon;
  execute: (name: string, args: ReadonlyPartialJSONObject) => Promise<unknown>;
  enabled?: (name: string) => boolean;
}

/** Every command, with what it is about given, under the pointer, or in front. */
export const commandsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:commands',
  description: 'Commands for images and containers.',
  autoStart: true,
  requires: [ILpmx],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, lpmx: ILpmx, palette: ICommandPalette | null): void => {
    const { model, actions, trans } = lpmx;
    const category = 'LPMX';

    const subject = (args: ReadonlyPartialJSONObject, about: IOnOne['about']): string | null => {
      if (typeof args[about] === 'string') {
        return args[about] as string;
      }
      if (args.context) {
        const node = app.contextMenuHitTest(({ dataset }) => dataset[about] !== undefined);
        return node?.dataset[about] ?? null;
      }
      const container = lpmx.container();
      return about === 'container'
        ? container
        : (model.containers.value?.find(({ name }) => name === container)?.familiar ?? null);
    };

    const find = (name: string) => model.containers.value?.find(one => one.name === name);

    const storable = (name: string) => model.image(name)?.live !== true;

    const onOne: Record<string, IOnOne> = {
      [CommandIds.newNotebook]: {
        about: 'image',
        label: trans.__('New Notebook in This Image'),
        icon: notebookIcon,
        execute: (image, args) => {
          const cwd = typeof args.cwd === 'string' ? args.cwd : undefined;
          return typeof args.kernelspec === 'string'
            ? actions.attempt(() => actions.newNotebookOf(args.kernelspec as string, cwd))
            : actions.newNotebook(image, cwd);
        }
      },
      [CommandIds.createContainer]: {
        about: 'image',
        label: trans.__('New Container of This Image'),
        icon: lpmxIcon,
        execute: image => actions.createContainer(image)
      },
      [CommandIds.downloadImage]: {
        about: 'image',
        label: trans.__('Download Image as a File'),
        icon: downloadIcon,
        execute: async image => actions.downloadImage(image),
        enabled: storable
      },
      [CommandIds.bundleImage]: {
        about: 'image',
        label: trans.__('Download Image with Its Kernels (Bundle)'),
        icon: downloadIcon,
        execute: async image => actions.bundleImage(image),
        enabled: storable
      },
      [CommandIds.removeImage]: {
        about: 'image',
        label: trans.__('Remove Image…'),
        icon: deleteIcon,
        execute: image => actions.removeImage(image),
        enabled: name => {
          const image = model.image(name);
          return image === undefined || (!image.live && image.store === null);
        }
      },
      [CommandIds.showContainer]: {
        about: 'container',
        label: trans.__('Show Container in the Panel'),
        icon: lpmxIcon,
        execute: async container => actions.show(container)
      },
      [CommandIds.notebookInContainer]: {
        about: 'container',
        label: trans.__('New Notebook in This Container'),
        icon: notebookIcon,
        execute: container => actions.notebookInContainer(container),
        enabled: name => find(name)?.temporary === false
      },
      [CommandIds.openTerminal]: {
        about: 'container',
        label: trans.__('Open Terminal in Container'),
        icon: terminalIcon,
        execute: container => actions.openTerminal(container),
        enabled: () => model.info.value?.terminals !== false
      },
      [CommandIds.commitContainer]: {
        about: 'container',
        label: trans.__('Commit Container to an Image…'),
        icon: saveIcon,
        execute: container => actions.commit(container)
      },
      [CommandIds.bundleContainer]: {
        about: 'container',
        label: trans.__('Download Container with Its Image (Bundle)…'),
        icon: downloadIcon,
        execute: container => actions.bundleContainer(container),
        enabled: name => model.image(find(name)?.familiar ?? '')?.live !== true
      },
      [CommandIds.resetContainer]: {
        about: 'container',
        label: trans.__('Reset Container…'),
        icon: undoIcon,
        execute: container => actions.reset(container)
      },
      [CommandIds.stopContainer]: {
        about: 'container',
        label: trans.__('Stop Container…'),
        icon: stopIcon,
        execute: container => actions.stop(container),
        enabled: name => find(name)?.running !== false
      },
      [CommandIds.removeContainer]: {
        about: 'container',
        label: trans.__('Remove Container…'),
        icon: deleteIcon,
        execute: container => actions.removeContainer(container)
      }
    };

    for (const [id, { about, label, icon, execute, enabled }] of Object.entries(onOne)) {
      app.commands.addCommand(id, {
        label: args => (typeof args.label === 'string' ? args.label : label),
        caption: args => {
          const name = subject(args, about);
          return name === null ? label : `${label} (${name})`;
        },
        icon: args => (args.isLauncher ? lpmxIcon : icon),
        isEnabled: args => {
          const name = subject(args, about);
          return name !== null && (enabled === undefined || enabled(name));
        },
        describedBy: {
          args: {
            type: 'object',
            properties: {
              [about]: {
                type: 'string',
                description:
                  about === 'image'
                    ? trans.__('Name of the image; otherwise the one that the notebook runs in')
                    : trans.__('Name of the container; otherwise the one that the notebook runs in')
              }
            }
          }
        },
        execute: async args => {
          const name = subject(args, about);
          if (name !== null) {
            await execute(name, args);
          }
        }
      });
      palette?.addItem({ command: id, category });
    }

    const plain: [string, string, LabIcon, () => Promise<unknown>][] = [
      [CommandIds.pullImage, trans.__('Pull an Image…'), downloadIcon, () => actions.askAndPull()],
      [CommandIds.loadImage, trans.__('Load an Image from a File…'), fileUploadIcon, () => actions.askAndLoad()],
      [CommandIds.collectGarbage, trans.__('Free Unused Space…'), deleteIcon, () => actions.collectGarbage()]
    ];
    for (const [id, label, icon, execute] of plain) {
      app.commands.addCommand(id, {
        label,
        caption: label,
        icon,
        describedBy: { args: { type: 'object', properties: {} } },
        execute
      });
      palette?.addItem({ command: id, category });
    }

    // menus and toolbars are drawn again by this: only where something is enabled or not by it
    let before = '';
    const again = (): void => {
      const now = JSON.stringify([
        lpmx.container(),
        model.containers.value?.map(({ name, running }) => [name, running]),
        model.images.value?.map(({ familiar }) => familiar)
      ]);
      if (now !== before) {
        before = now;
        Object.keys(onOne).forEach(id => app.commands.notifyCommandChanged(id));
      }
    };
    model.containers.changed.connect(again);
    model.images.changed.connect(again);
    lpmx.kernelChanged.connect(again);
  }
};
