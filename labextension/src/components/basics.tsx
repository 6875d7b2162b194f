import { LabIcon, caretDownIcon, caretRightIcon, ellipsesIcon } from '@jupyterlab/ui-components';
import React from 'react';

import type { LpmxError } from '../api/client';
import type { IMenuItem } from '../lab/actions';
import { useSurroundings } from './context';

/** A part of the panel that can be folded. What is folded is not rendered, and asks nothing. */
export function Section(props: {
  id: string;
  title: string;
  count?: number;
  open: boolean;
  toggle: (id: string) => void;
  children: () => React.ReactNode;
}): JSX.Element {
  const body = `lpmx-section-${props.id}`;
  const Caret = props.open ? caretDownIcon : caretRightIcon;
  return (
    <section className="lpmx-Section" data-section={props.id} aria-labelledby={`${body}-title`}>
      <h2 className="lpmx-Section-title">
        <button
          id={`${body}-title`}
          type="button"
          aria-expanded={props.open}
          aria-controls={body}
          onClick={() => props.toggle(props.id)}
        >
          <Caret.react tag="span" className="lpmx-Icon" />
          {props.title}
          {props.count !== undefined && <span className="lpmx-Count">{props.count}</span>}
        </button>
      </h2>
      <div id={body} className="lpmx-Section-body" hidden={!props.open}>
        {props.open && props.children()}
      </div>
    </section>
  );
}

/** A button that waits for what it began. With an icon its label is for screen readers. */
export function ActionButton(props: {
  label: string;
  icon?: LabIcon;
  title?: string;
  kind?: 'accept' | 'plain';
  disabled?: boolean;
  action: () => unknown;
}): JSX.Element {
  const [busy, setBusy] = React.useState(false);
  const shown = React.useRef(true);
  React.useEffect(() => {
    shown.current = true;
    return () => {
      shown.current = false;
    };
  }, []);
  const run = async (): Promise<void> => {
    setBusy(true);
    try {
      await props.action();
    } finally {
      if (shown.current) {
        setBusy(false);
      }
    }
  };
  const Icon = props.icon;
  return (
    <button
      type="button"
      className={`lpmx-Button${Icon ? ' lpmx-mod-icon' : ''}${props.kind === 'accept' ? ' lpmx-mod-accept' : ''}`}
      title={props.title ?? props.label}
      aria-label={Icon ? props.label : undefined}
      disabled={busy || props.disabled}
      aria-busy={busy}
      onClick={() => void run()}
    >
      {Icon ? <Icon.react tag="span" className="lpmx-Icon" /> : props.label}
    </button>
  );
}

/** Has one choose a file of one's own computer. */
export function FileButton(props: {
  label: string;
  fieldLabel: string;
  icon?: LabIcon;
  title?: string;
  chosen: (file: File) => unknown;
}): JSX.Element {
  const { label, icon, title } = props;
  const chooser = React.useRef<HTMLInputElement>(null);
  return (
    <>
      <ActionButton label={label} icon={icon} title={title} action={() => chooser.current?.click()} />
      <input
        ref={chooser}
        type="file"
        hidden
        aria-label={props.fieldLabel}
        onChange={event => {
          const [file] = Array.from(event.target.files ?? []);
          event.target.value = '';
          if (file) {
            void props.chosen(file);
          }
        }}
      />
    </>
  );
}

/** Opens a menu of commands below itself. */
export function MoreButton(props: { label: string; items: IMenuItem[] }): JSX.Element {
  const { actions } = useSurroundings();
  return (
    <button
      type="button"
      className="lpmx-Button lpmx-mod-icon"
      title={props.label}
      aria-label={props.label}
      aria-haspopup="menu"
      onClick={event => {
        const { left, bottom } = event.currentTarget.getBoundingClientRect();
        actions.openMenu(props.items, left, bottom);
      }}
    >
      <ellipsesIcon.react tag="span" className="lpmx-Icon" />
    </button>
  );
}

/** What went wrong, and what to do about it. */
export function Problem(props: { problem: LpmxError; retry?: () => void }): JSX.Element {
  const { trans } = useSurroundings();
  return (
    <div className="lpmx-Problem" role="alert">
      <p>{props.problem.message}</p>
      {props.problem.hint && <p>{trans.__('Hint: %1', props.problem.hint)}</p>}
      {props.retry && <ActionButton label={trans.__('Try again')} action={props.retry} />}
    </div>
  );
}

/** What a list says that has nothing in it: why, and what to do. */
export function Empty(props: { children: React.ReactNode }): JSX.Element {
  return <p className="lpmx-Empty">{props.children}</p>;
}

/** Holds the place of what has not come yet. */
export function Waiting(): JSX.Element {
  const { trans } = useSurroundings();
  return (
    <p className="lpmx-Empty" aria-busy="true">
      {trans.__('Asking the server…')}
    </p>
  );
}

/** Something that is shown only when asked for. */
export function Disclosure(props: {
  label: string;
  /** The label for those who do not see what it stands below. */
  fullLabel?: string;
  children: () => React.ReactNode;
}): JSX.Element {
  const [open, setOpen] = React.useState(false);
  const id = React.useId();
  const Caret = open ? caretDownIcon : caretRightIcon;
  return (
    <div className="lpmx-Disclosure">
      <button
        type="button"
        className="lpmx-Disclosure-button"
        aria-label={props.fullLabel}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => setOpen(!open)}
      >
        <Caret.react tag="span" className="lpmx-Icon" />
        {props.label}
      </button>
      <div id={id} hidden={!open}>
        {open && props.children()}
      </div>
    </div>
  );
}

/** An image's name that keeps its last part, which tells images apart, where space is scarce. */
export function ImageName(props: { name: string; title?: string }): JSX.Element {
  const at = props.name.lastIndexOf('/') + 1;
  return (
    <span className="lpmx-ImageName" title={props.title ?? props.name}>
      {at > 0 && <span className="lpmx-ImageName-where">{props.name.slice(0, at)}</span>}
      <span>{props.name.slice(at)}</span>
    </span>
  );
}

/** How far something is; without a share it only says that it goes on. */
export function Progress(props: { label: string; share: number | null }): JSX.Element {
  return (
    <div
      className={`lpmx-Progress${props.share === null ? ' lpmx-mod-unknown' : ''}`}
      role="progressbar"
      aria-label={props.label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={props.share ?? undefined}
    >
      <div style={{ width: `${props.share ?? 100}%` }} />
    </div>
  );
}

/** A line for names, paths and values: nothing that a browser would correct or remember. */
export function TextField(props: React.InputHTMLAttributes<HTMLInputElement>): JSX.Element {
  return (
    <input className="lpmx-Input" type="text" spellCheck={false} autoComplete="off" {...props} />
  );
}
