import { fileUploadIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { Client } from '../api/client';
import { FileButton, TextField } from './basics';
import { useOnce, useSurroundings } from './context';

const PATIENCE = 350;

/** What could be meant: tags once there is a colon behind the name, before that repositories. */
export async function suggest(client: Client, typed: string): Promise<string[]> {
  const colon = typed.indexOf(':', typed.lastIndexOf('/') + 1);
  if (colon > 0) {
    const repository = typed.slice(0, colon);
    const begun = typed.slice(colon + 1);
    const tags = await client.tags(repository);
    return tags
      .filter(tag => tag.startsWith(begun))
      .slice(0, 50)
      .map(tag => `${repository}:${tag}`);
  }
  return (await client.search(typed)).map(({ name }) => name);
}

/** Where one types an image's name, with completion by what the registry has. */
export function PullForm(): JSX.Element {
  const { model, actions, trans } = useSurroundings();
  const [typed, setTyped] = React.useState('');
  const [found, setFound] = React.useState<string[]>([]);
  const list = React.useId();

  React.useEffect(() => {
    if (typed.length < 2) {
      setFound([]);
      return;
    }
    let late = false;
    const timer = setTimeout(() => {
      suggest(model.client, typed).then(
        names => !late && setFound(names),
        () => undefined // a registry that does not tell completes nothing
      );
    }, PATIENCE);
    return () => {
      late = true;
      clearTimeout(timer);
    };
  }, [model, typed]);

  const [busy, submit] = useOnce(async () => {
    const reference = typed.trim();
    if (reference && (await actions.pull(reference))) {
      setTyped('');
    }
  });

  return (
    <form className="lpmx-Row lpmx-Form" onSubmit={submit}>
      <TextField
        name="reference"
        list={list}
        placeholder={trans.__('ubuntu:22.04, ghcr.io/acme/solver:2.4')}
        aria-label={trans.__('Image to pull')}
        value={typed}
        onChange={event => setTyped(event.target.value)}
      />
      <datalist id={list}>
        {found.map(name => (
          <option key={name} value={name} />
        ))}
      </datalist>
      <button
        type="submit"
        className="lpmx-Button lpmx-mod-accept"
        disabled={busy || typed.trim() === ''}
      >
        {trans.__('Pull')}
      </button>
      <FileButton
        icon={fileUploadIcon}
        label={trans.__('Load an image from a file')}
        title={trans.__('Load an image from a file of this computer; dropping it here does the same')}
        fieldLabel={trans.__('Image file')}
        chosen={file => actions.upload(file)}
      />
    </form>
  );
}
