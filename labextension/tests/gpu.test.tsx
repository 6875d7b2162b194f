import { cleanup, fireEvent, screen, within } from '@testing-library/react';
import React from 'react';
import { afterEach, expect, it } from 'vitest';

import { GpuSection, Plot } from '../src/components/gpu';
import h100 from './gpu-h100.json';
import { container, page } from './support';

afterEach(cleanup);

it('draws only samples that there are', () => {
  const { show } = page();
  show(<Plot label="Busy" values={[0, null, 1]} />);

  const line = screen.getByRole('img', { name: 'Busy' }).querySelector('polyline')!;
  expect(line.getAttribute('points')!.split(' ')).toHaveLength(2);
});

it('shows how busy a GPU is, and which libraries were refused and why', async () => {
  const { server, show } = page();
  const sample = {
    id: '0', name: 'H100', vendor: 'NVIDIA', utilisation: 37, memory_used: 1024 ** 3,
    memory_total: 80 * 1024 ** 3, temperature: 41, power: null
  };
  server.routes['GET gpu/usage'] = () => ({ time: 1, devices: [sample] });
  const library = { path: '/l', vendor: 'NVIDIA', glibc: '', injected: null };
  server.routes['GET gpu'] = () => ({
    devices: ['/dev/nvidia0'],
    drivers: [{ name: 'nvidia', version: '550.1' }],
    libraries: [
      { ...library, name: 'libcuda.so.1', refused: '' },
      { ...library, name: 'libnew.so', path: '/n', refused: 'it needs glibc 2.38' }
    ],
    icds: [], image: null, container: null
  });
  show(<GpuSection />);

  await screen.findByText('Busy: 37 %');
  expect(screen.getByText('Memory: 1.0 GiB of 80.0 GiB')).toBeDefined();
  expect(screen.getByText('Drivers: nvidia 550.1')).toBeDefined();
  fireEvent.click(screen.getByText('Driver libraries (2)'));
  expect(within(screen.getByRole('list', { name: 'Refused: it needs glibc 2.38' })).getByText('n')).toBeDefined();
});

it('has one row for a file of many names, below what becomes of it', async () => {
  const { server, show } = page();
  server.routes['GET gpu/usage'] = () => ({ time: 1, devices: [] });
  const refused = 'no device of this machine is AMD\'s';
  server.routes['GET gpu'] = () => ({
    ...h100,
    libraries: h100.libraries.map(one => (one.vendor === 'amd' ? { ...one, refused } : one))
  });
  show(<GpuSection />);

  fireEvent.click(await screen.findByText('Driver libraries (15)'));

  expect(screen.getByText('libcuda.so.580.159.04').parentElement!.textContent).toBe(
    'libcuda.so.580.159.04 libcuda.so, libcuda.so.1'
  );
  expect(within(screen.getByRole('list', { name: 'Of nvidia' })).getAllByRole('listitem')).toHaveLength(10);
  expect(within(screen.getByRole('list', { name: `Refused: ${refused}` })).getAllByRole('listitem')).toHaveLength(5);
});

it('tells what the chosen container has, and what a machine without a GPU is', async () => {
  const { server, show, model } = page();
  server.routes['GET gpu/usage'] = () => ({ time: 1, devices: [] });
  server.routes['GET containers'] = () => [container('fit')];
  const library = { path: '/l', vendor: 'nvidia', glibc: '', refused: '', name: 'l', injected: true };
  server.routes['GET gpu'] = (_, query) => ({
    devices: [], drivers: [], icds: [], image: null, container: query.get('container'),
    libraries: [library, { ...library, path: '/m', injected: false }]
  });
  model.current = 'fit';
  show(<GpuSection />);

  await screen.findByText(/This machine has no GPU/);
  fireEvent.click(await screen.findByText('Driver libraries of container fit (2)'));

  expect(screen.getByRole('list', { name: 'Injected' })).toBeDefined();
  expect(screen.getByRole('list', { name: 'Not injected' })).toBeDefined();
});
