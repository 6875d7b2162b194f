import { notebookIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { IImage } from '../api/types';
import { CommandIds } from '../lab/ids';
import * as format from '../model/format';
import { Resource } from '../model/resource';
import { ActionButton, Disclosure, Empty, ImageName, MoreButton, Problem, Waiting } from './basics';
import { useOwnResource, useResource, useSurroundings } from './context';
import { PullForm } from './pull';
import { Tasks, Uploads } from './tasks';

function Kernels(props: { image: string }): JSX.Element {
  const { model, trans } = useSurroundings();
  const found = useOwnResource(
    () => new Resource(() => model.client.imageKernels(props.image)),
    [props.image]
  );
  if (found.problem) {
    return <Problem problem={found.problem} retry={() => found.refresh()} />;
  }
  if (!found.value) {
    return <Waiting />;
  }
  return (
    <>
      <ul className="lpmx-Facts">
        {found.value.kernels.map(kernel => (
          <li key={kernel.name}>
            {kernel.display_name}
            <span className="lpmx-Detail"> {[kernel.place, kernel.why].filter(Boolean).join(' · ')}</span>
          </li>
        ))}
      </ul>
      <p className="lpmx-Detail">{trans.__('A notebook gets %1: %2', found.value.chosen, found.value.reason)}</p>
    </>
  );
}

function Image(props: { image: IImage }): JSX.Element {
  const { image } = props;
  const { actions, trans } = useSurroundings();
  const name = image.familiar;
  const about = image.live
    ? trans.__('a copy of this machine')
    : image.support
      ? trans.__('%1, what Pythons of images need to be kernels', format.bytes(image.size))
      : image.shared > 0
      ? trans.__('%1, %2 of it shared', format.bytes(image.size), format.bytes(image.shared))
      : format.bytes(image.size);
  return (
    <li className="lpmx-Item lpmx-Image" data-image={name}>
      <div className="lpmx-Row">
        <span className="lpmx-Row-name">
          <ImageName name={name} title={image.name} />
        </span>
        {!image.support && (
          <ActionButton
            icon={notebookIcon}
            label={trans.__('New notebook in %1', name)}
            action={() => actions.newNotebook(name)}
          />
        )}
        <MoreButton
          label={trans.__('More for image %1', name)}
          items={(image.support
            ? [CommandIds.removeImage]
            : [
                CommandIds.newNotebook,
                CommandIds.createContainer,
                CommandIds.downloadImage,
                CommandIds.bundleImage,
                CommandIds.removeImage
              ]
          ).map(command => ({ command, args: { image: name } }))}
        />
      </div>
      <div className="lpmx-Detail">
        {about}
        {image.containers.length > 0 &&
          ` · ${trans._n('one container', '%1 containers', image.containers.length)}`}
        {image.store !== null && ` · ${trans.__("in the site's store")}`}
      </div>
      {!image.support && (
        <Disclosure label={trans.__('Kernels')} fullLabel={trans.__('Kernels of %1', name)}>
          {() => <Kernels image={name} />}
        </Disclosure>
      )}
    </li>
  );
}

/** The images there are, and getting more: by name, from a file, or by dropping one. */
export function ImagesSection(): JSX.Element {
  const { model, actions, trans } = useSurroundings();
  const { value, problem } = useResource(model.images);
  const [over, setOver] = React.useState(false);
  const carriesFiles = (event: React.DragEvent): boolean =>
    event.dataTransfer.types.includes('Files');
  return (
    <div
      className={`lpmx-Drop${over ? ' lpmx-mod-over' : ''}`}
      onDragOver={event => {
        if (carriesFiles(event)) {
          event.preventDefault();
          setOver(true);
        }
      }}
      onDragLeave={() => setOver(false)}
      onDrop={event => {
        if (carriesFiles(event)) {
          event.preventDefault();
          event.stopPropagation();
          setOver(false);
          for (const item of Array.from(event.dataTransfer.items)) {
            const file = item.getAsFile();
            if (file) {
              void actions.upload(file, item.webkitGetAsEntry()?.isDirectory);
            }
          }
        }
      }}
    >
      <PullForm />
      <Uploads />
      <Tasks kinds={['pull', 'load', 'commit', 'save', 'bundle', 'kernelspecs']} />
      {problem && <Problem problem={problem} retry={() => model.images.refresh()} />}
      {!value && !problem && <Waiting />}
      {value && value.every(image => image.live || image.support) && (
        <Empty>
          {trans.__(
            'There is no image yet. Type the name of one above, such as ubuntu:22.04, or drop a file that "docker save" or "lpmx bundle" made.'
          )}
        </Empty>
      )}
      {value && (
        <ul className="lpmx-List" aria-label={trans.__('Images')}>
          {value.map(image => (
            <Image key={image.name} image={image} />
          ))}
        </ul>
      )}
    </div>
  );
}
