import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILauncher } from '@jupyterlab/launcher';
import type { IDisposable } from '@lumino/disposable';
import { DisposableSet } from '@lumino/disposable';

import { CommandIds } from './ids';
import { ILpmx } from './tokens';

/** A card for each kernel in an image, named by the image and its tag. */
export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'lpmx-jupyter:launcher',
  description: 'Cards of images in the launcher.',
  autoStart: true,
  requires: [ILpmx],
  optional: [ILauncher],
  activate: (_app: JupyterFrontEnd, { model }: ILpmx, launcher: ILauncher | null): void => {
    if (launcher === null) {
      return; // Notebook has none
    }
    let cards: IDisposable | undefined;
    let shown = '';
    const show = (): void => {
      const specs = model.kernelspecs.value ?? [];
      const now = JSON.stringify(specs);
      if (now === shown) {
        return;
      }
      shown = now;
      cards?.dispose();
      cards = DisposableSet.from(
        specs.map(({ name, image, kernel, container }, rank) => {
          const several = specs.filter(other => other.image === image).length > 1;
          const extra = [several ? kernel : '', container].filter(Boolean).join(', ');
          return launcher.add({
            command: CommandIds.newNotebook,
            category: 'LPMX',
            rank,
            args: {
              image,
              kernelspec: name,
              label: extra ? `${image} (${extra})` : image,
              isLauncher: true
            }
          });
        })
      );
    };
    model.kernelspecs.changed.connect(show);
    model.kernelspecs.want();
    show();
  }
};
