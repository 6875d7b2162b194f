import { LabIcon } from '@jupyterlab/ui-components';

import svgstr from '../style/logo.svg';

/** Three layers. */
export const lpmxIcon = new LabIcon({ name: 'lpmx:layers', svgstr });
