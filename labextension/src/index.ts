import './style';

import { commandsPlugin } from './lab/commands';
import { corePlugin } from './lab/core';
import { launcherPlugin } from './lab/launcher';
import { notebookPlugin } from './lab/notebook';
import { notificationsPlugin } from './lab/notifications';
import { panelPlugin } from './lab/panel';
import { runningPlugin } from './lab/running';
import { statusPlugin } from './lab/status';

export { ILpmx } from './lab/tokens';

export default [
  corePlugin,
  commandsPlugin,
  panelPlugin,
  launcherPlugin,
  runningPlugin,
  statusPlugin,
  notebookPlugin,
  notificationsPlugin
];
