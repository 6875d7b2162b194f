/** Stands in for @jupyterlab/apputils. */
import { vi } from 'vitest';

export class ReactWidget {}

export const Notification = { error: vi.fn(), info: vi.fn(), success: vi.fn() };
export const showDialog = vi.fn();
export const Dialog = {
  okButton: () => ({ accept: true }),
  cancelButton: (options: object) => ({ accept: false, ...options }),
  warnButton: (options: object) => ({ accept: true, ...options })
};
export const InputDialog = { getText: vi.fn() };
