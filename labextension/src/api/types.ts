/** What the server says, as `lpmx_jupyter/extension/openapi.yaml` describes it. */

export interface IProblem {
  message: string;
  hint: string | null;
  code: string;
}

export interface IInfo {
  version: string;
  api: string;
  store: string;
  site_stores: string[];
  quota: number | null;
  call_log: string | null;
  terminals: boolean;
  permissions: { write: boolean; execute: boolean };
  kept: number;
}

export interface IPart {
  id: string;
  label: string;
  unit: string;
  done: number;
  total: number | null;
  finished: boolean;
  note: string;
}

export type TaskState = 'running' | 'cancelling' | 'succeeded' | 'failed' | 'cancelled';
export type TaskKind = 'pull' | 'load' | 'save' | 'bundle' | 'commit' | 'gc' | 'kernelspecs';

export interface ITask {
  id: string;
  kind: TaskKind;
  title: string;
  state: TaskState;
  image: string | null;
  container: string | null;
  path: string | null;
  created: number;
  finished: number | null;
  done: number;
  total: number | null;
  parts: IPart[];
  notes: string[];
  error: IProblem | null;
  result: {
    images: string[];
    containers: string[];
    kernelspecs: IKernelspec[];
    path: string | null;
    freed: { layers: string[]; blobs: string[]; containers: string[] } | null;
  } | null;
}

export type ChangedWhat =
  | 'images'
  | 'containers'
  | 'processes'
  | 'environment'
  | 'links'
  | 'exposed'
  | 'kernels'
  | 'kernelspecs';

export interface IChanged {
  what: ChangedWhat;
  container: string | null;
}

export interface IImage {
  name: string;
  familiar: string;
  digest: string;
  size: number;
  shared: number;
  origin: 'pulled' | 'loaded' | 'bootstrapped' | 'committed' | 'built' | 'built-in';
  added: number;
  live: boolean;
  store: string | null;
  support: boolean;
  containers: string[];
  kernelspecs: string[];
}

export interface IFoundKernel {
  name: string;
  display_name: string;
  language: string;
  kind: 'image' | 'support layer' | 'kernel view' | 'host';
  chosen: boolean;
  why: string;
  place: string;
  description: string;
}

export interface IImageKernels {
  image: string;
  chosen: string;
  reason: string;
  kernels: IFoundKernel[];
}

export interface IRepository {
  name: string;
  description: string;
  stars: number;
  official: boolean;
}

export interface IProcess {
  pid: number;
  argv: string[];
  program: string;
  started: number;
  host_call: boolean;
  cpu: number | null;
  cpu_seconds: number;
  memory: number;
  kernel: string | null;
}

export interface IKernel {
  id: string;
  container: string;
  image: string | null;
  own: boolean;
  here: boolean;
  name: string | null;
  state: string | null;
  description: string | null;
  sessions: { id: string; path: string; name: string; type: string }[];
}

export interface IContainer {
  name: string;
  image: string | null;
  familiar: string | null;
  created: number | null;
  temporary: boolean;
  damaged: boolean;
  running: boolean;
  cpu: number | null;
  memory: number;
  processes: IProcess[];
  kernels: IKernel[];
}

export interface IDiff {
  total: number;
  changes: { kind: 'A' | 'C' | 'D'; path: string }[];
}

export interface IVariable {
  name: string;
  value: string | null;
  origin: 'default' | 'host' | 'image' | 'container' | 'gpu' | 'live';
  secret: boolean;
  masked: boolean;
  unset: boolean;
}

export interface IVariableChange {
  time: number;
  pid: number;
  name: string;
  value: string | null;
  masked: boolean;
  unset: boolean;
}

export interface ILink {
  name: string;
  path: string;
  target: string;
}

export interface IExposed {
  name: string;
  path: string;
  container: string;
  program: string;
  whole: boolean;
}

export interface IProgram {
  name: string;
  path: string;
}

export interface IPrograms {
  total: number;
  programs: IProgram[];
}

export interface ICall {
  time: number;
  pid: number;
  container: string;
  caller: string;
  called: string;
  allowed: boolean;
  rule: string | null;
}

export interface ICalls {
  log: string | null;
  error: string | null;
  calls: ICall[];
}

export interface IKernelspec {
  name: string;
  display_name: string;
  image: string;
  kernel: string;
  container: string;
}

export interface IGpuLibrary {
  name: string;
  path: string;
  vendor: string;
  glibc: string;
  refused: string;
  injected: boolean | null;
}

export interface IGpu {
  devices: string[];
  drivers: { name: string; version: string }[];
  libraries: IGpuLibrary[];
  icds: { kind: string; path: string; library: string }[];
  image: string | null;
  container: string | null;
}

export interface IGpuSample {
  id: string;
  name: string;
  vendor: string;
  utilisation: number | null;
  memory_used: number | null;
  memory_total: number | null;
  temperature: number | null;
  power: number | null;
}

export interface IGpuUsage {
  time: number;
  devices: IGpuSample[];
}

export interface IFinding {
  subject: string;
  verdict: 'ok' | 'limited' | 'missing';
  found: string;
  follows: string;
}

export interface IUsage {
  images: { name: string; size: number; shared: number }[];
  containers: { name: string; size: number }[];
  layers: number;
  unused: number;
  quota: number | null;
}
