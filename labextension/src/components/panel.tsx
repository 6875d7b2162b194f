import { ReactWidget } from '@jupyterlab/apputils';
import React from 'react';

import { ActionButton, Problem, Section } from './basics';
import { CallsSection } from './calls';
import { CheckSection } from './check';
import { ContainersSection } from './containers';
import { ISurroundings, Surroundings, useResource, useSignal, useSurroundings } from './context';
import { EnvironmentSection } from './environment';
import { GpuSection } from './gpu';
import { ImagesSection } from './images';

export type SectionId = 'images' | 'containers' | 'environment' | 'calls' | 'gpu' | 'check';

export const FIRST_OPEN: SectionId[] = ['images', 'containers'];

/** Says that what is shown may be old; takes no space while all is well. */
function Connection(): JSX.Element | null {
  const { model, trans } = useSurroundings();
  useSignal(model.stateChanged);
  if (model.connected !== false) {
    return null;
  }
  if (model.refusal !== null) {
    return <Problem problem={model.refusal} retry={() => model.reconnect()} />;
  }
  return (
    <div className="lpmx-Row lpmx-Problem" role="status">
      <span className="lpmx-Row-name">{trans.__('No connection to the server; trying again.')}</span>
      <ActionButton label={trans.__('Now')} action={() => model.reconnect()} />
    </div>
  );
}

export function PanelView(props: {
  open: string[];
  remember: (open: string[]) => void;
}): JSX.Element {
  const { model, trans } = useSurroundings();
  const [open, setOpen] = React.useState(props.open);
  React.useEffect(() => setOpen(props.open), [props.open]);
  const images = useResource(model.images).value;
  const containers = useResource(model.containers).value;
  const toggle = (id: string): void => {
    const now = open.includes(id) ? open.filter(one => one !== id) : [...open, id];
    setOpen(now);
    props.remember(now);
  };
  const sections: [SectionId, string, () => JSX.Element, number?][] = [
    ['images', trans.__('Images'), () => <ImagesSection />, images?.filter(({ live, support }) => !live && !support).length],
    ['containers', trans.__('Containers'), () => <ContainersSection />, containers?.length],
    ['environment', trans.__('Environment'), () => <EnvironmentSection />],
    ['calls', trans.__('Calls'), () => <CallsSection />],
    ['gpu', trans.__('GPU'), () => <GpuSection />],
    ['check', trans.__('Check'), () => <CheckSection />]
  ];
  return (
    <div className="lpmx-Panel-body">
      <Connection />
      {sections.map(([id, title, children, count]) => (
        <Section key={id} id={id} title={title} count={count} open={open.includes(id)} toggle={toggle}>
          {children}
        </Section>
      ))}
    </div>
  );
}

/** The panel in the side bar. It asks the server for nothing while it is hidden. */
export class Panel extends ReactWidget {
  constructor(
    private _surroundings: ISurroundings,
    private _open: string[],
    private _remember: (open: string[]) => void
  ) {
    super();
    this.id = 'lpmx-panel';
    this.addClass('lpmx-Panel');
    this.node.tabIndex = -1; // can have the focus, but not by Tab
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'LPMX');
  }

  /** Show this section, too. */
  reveal(section: SectionId): void {
    if (!this._open.includes(section)) {
      this.setOpen([...this._open, section]);
    }
  }

  setOpen(open: string[]): void {
    this._open = open;
    this.update();
  }

  setInterval(seconds: number): void {
    this._surroundings = { ...this._surroundings, interval: seconds };
    this.update();
  }

  render(): JSX.Element {
    if (!this.isVisible) {
      return <></>;
    }
    return (
      <Surroundings.Provider value={this._surroundings}>
        <PanelView
          open={this._open}
          remember={open => {
            this._open = open;
            this._remember(open);
          }}
        />
      </Surroundings.Provider>
    );
  }

  protected onActivateRequest(): void {
    this.node.focus();
  }

  protected onAfterShow(): void {
    this.update();
  }

  protected onAfterHide(): void {
    this.update();
  }
}
