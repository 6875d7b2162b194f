import React from 'react';

import type { IGpuSample, IGpuUsage } from '../api/types';
import * as format from '../model/format';
import { Resource } from '../model/resource';
import { Empty, Problem, Waiting } from './basics';
import { useOwnResource, usePolling, useResource, useSignal, useSurroundings } from './context';
import { Libraries } from './libraries';

/** Samples that a plot shows. */
const KEPT = 60;
const WIDTH = 120;
const HEIGHT = 28;

/** The last samples of what is in a resource, the oldest first. */
function useSamples(resource: Resource<IGpuUsage>): IGpuUsage[] {
  const [samples, setSamples] = React.useState<IGpuUsage[]>([]);
  const { value } = resource;
  React.useEffect(() => {
    if (value) {
      setSamples(before => [...before, value].slice(-KEPT));
    }
  }, [value]);
  return samples;
}

/** A line over time; values are shares of the whole, null where there was none. */
export function Plot(props: { label: string; values: (number | null)[] }): JSX.Element {
  const step = WIDTH / (KEPT - 1);
  const start = WIDTH - (props.values.length - 1) * step;
  const points = props.values
    .map((value, at) =>
      value === null ? null : `${(start + at * step).toFixed(1)},${(HEIGHT * (1 - value)).toFixed(1)}`
    )
    .filter(point => point !== null);
  return (
    <svg
      className="lpmx-Plot"
      viewBox={`0 -1 ${WIDTH} ${HEIGHT + 2}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={props.label}
    >
      <polyline points={points.join(' ')} />
    </svg>
  );
}

function Device(props: { device: IGpuSample; past: (IGpuSample | undefined)[] }): JSX.Element {
  const { device, past } = props;
  const { trans } = useSurroundings();
  const used = (sample: IGpuSample | undefined): number | null =>
    sample?.memory_used == null || !sample.memory_total
      ? null
      : sample.memory_used / sample.memory_total;
  const busy = trans.__('Utilisation of %1: %2', device.name, format.percent(device.utilisation));
  const memory =
    device.memory_used === null
      ? null
      : trans.__(
          'Memory: %1 of %2',
          format.bytes(device.memory_used),
          device.memory_total === null ? '–' : format.bytes(device.memory_total)
        );
  return (
    <li className="lpmx-Item" data-gpu={device.id}>
      <div className="lpmx-Row">
        <span className="lpmx-Row-name">{device.name}</span>
        <span className="lpmx-Detail">
          {[
            device.temperature === null ? '' : `${Math.round(device.temperature)} °C`,
            device.power === null ? '' : `${Math.round(device.power)} W`
          ]
            .filter(Boolean)
            .join(' · ')}
        </span>
      </div>
      <div className="lpmx-Plots">
        <figure>
          <Plot
            label={busy}
            values={past.map(sample => (sample?.utilisation == null ? null : sample.utilisation / 100))}
          />
          <figcaption className="lpmx-Detail">
            {trans.__('Busy: %1', format.percent(device.utilisation))}
          </figcaption>
        </figure>
        {memory !== null && (
          <figure>
            <Plot label={memory} values={past.map(used)} />
            <figcaption className="lpmx-Detail">{memory}</figcaption>
          </figure>
        )}
      </div>
    </li>
  );
}

/** The GPUs of the machine over time, and which of their libraries a container gets. */
export function GpuSection(): JSX.Element {
  const { model, trans, interval } = useSurroundings();
  const usage = useResource(model.gpuUsage);
  usePolling(model.gpuUsage, interval);
  const samples = useSamples(model.gpuUsage);
  useSignal(model.stateChanged);
  const containers = useResource(model.containers).value ?? [];
  const chosen =
    containers.find(({ name, damaged }) => name === model.current && !damaged)?.name ?? null;
  const found = useOwnResource(() => new Resource(() => model.client.gpu(chosen)), [chosen]);
  const devices = usage.value?.devices ?? [];
  const { value } = found;
  return (
    <>
      {usage.problem && <Problem problem={usage.problem} retry={() => usage.refresh()} />}
      {devices.length > 0 && (
        <ul className="lpmx-List" aria-label={trans.__('GPUs')}>
          {devices.map(device => (
            <Device
              key={device.id}
              device={device}
              past={samples.map(sample => sample.devices.find(({ id }) => id === device.id))}
            />
          ))}
        </ul>
      )}
      {found.problem && <Problem problem={found.problem} retry={() => found.refresh()} />}
      {!value && !found.problem && <Waiting />}
      {value && value.devices.length === 0 && devices.length === 0 && (
        <Empty>
          {trans.__(
            'This machine has no GPU that its user may use. Where there is one, containers get its devices and driver by themselves.'
          )}
        </Empty>
      )}
      {value && value.drivers.length > 0 && (
        <p className="lpmx-Detail">
          {trans.__('Drivers: %1', value.drivers.map(({ name, version }) => `${name} ${version}`.trim()).join(', '))}
        </p>
      )}
      {value && value.devices.length > 0 && (
        <p className="lpmx-Detail">{trans.__('Devices: %1', value.devices.join(', '))}</p>
      )}
      {value && value.libraries.length > 0 && (
        <Libraries container={chosen} libraries={value.libraries} />
      )}
    </>
  );
}
