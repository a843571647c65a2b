// The label cleaner: the widget, the page that stands alone, and what tests call.
import { fileHost } from './cleaner/host.js';
import { showCleaner } from './cleaner/page.js';
import { opener, widget as newWidget } from './common/kernel.js';

export const show = showCleaner;
export const open = opener(showCleaner, fileHost);
export const widget = newWidget(showCleaner);
