// The confusion-matrix explorer: the widget, the page that stands alone, and what tests call.
import { fileHost } from './explorer/host.js';
import { showExplorer } from './explorer/page.js';
import { kernelHost, opener, widget as newWidget } from './common/kernel.js';

export const show = showExplorer;
export const open = opener(showExplorer, fileHost);
export const widget = newWidget(showExplorer);
export { kernelHost };
