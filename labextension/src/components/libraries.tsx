import React from 'react';

import type { IGpuLibrary } from '../api/types';
import { Disclosure } from './basics';
import { useSurroundings } from './context';

/** A file with the names that it has: `libcuda.so`, `libcuda.so.1` and `libcuda.so.550.1` are one. */
interface IFile {
  path: string;
  names: string[];
}

/** The files of the libraries, in the order in which they come. */
export function files(libraries: IGpuLibrary[]): IFile[] {
  const found = new Map<string, IFile>();
  for (const { name, path } of libraries) {
    const file = found.get(path);
    if (file === undefined) {
      found.set(path, { path, names: [name] });
    } else {
      file.names.push(name);
    }
  }
  return [...found.values()];
}

function File(props: { file: IFile }): JSX.Element {
  const { path, names } = props.file;
  const own = path.split('/').pop()!;
  const others = names.filter(name => name !== own);
  return (
    <li title={path} data-library={own}>
      <code>{own}</code> <span className="lpmx-Detail">{others.join(', ')}</span>
    </li>
  );
}

/** Driver libraries below what became of them, a row for each file. */
export function Libraries(props: { container: string | null; libraries: IGpuLibrary[] }): JSX.Element {
  const { container, libraries } = props;
  const { trans } = useSurroundings();
  const fate = ({ refused, injected, vendor }: IGpuLibrary): string => {
    if (refused) {
      return trans.__('Refused: %1', refused);
    }
    if (injected === null) {
      return trans.__('Of %1', vendor);
    }
    return injected ? trans.__('Injected') : trans.__('Not injected');
  };
  const fates = new Map<string, IGpuLibrary[]>();
  for (const library of libraries) {
    const key = fate(library);
    fates.set(key, [...(fates.get(key) ?? []), library]);
  }
  const count = files(libraries).length;
  return (
    <Disclosure
      label={
        container === null
          ? trans.__('Driver libraries (%1)', count)
          : trans.__('Driver libraries of container %1 (%2)', container, count)
      }
    >
      {() =>
        [...fates].map(([title, found]) => (
          <React.Fragment key={title}>
            <h3 className="lpmx-Subtitle">{title}</h3>
            <ul className="lpmx-Facts" aria-label={title}>
              {files(found).map(file => (
                <File key={file.path} file={file} />
              ))}
            </ul>
          </React.Fragment>
        ))
      }
    </Disclosure>
  );
}
