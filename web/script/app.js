// The script of the pages: htmx, and what neither HTML nor htmx can do. Every
// page works without it, save that nothing then moves by itself.
import "htmx.org/dist/htmx.esm.js"; // sets window.htmx, which the extension below reads: keep it first
import "htmx.org/dist/ext/hx-sse.js";
import "./countdown.js";
import "./copy.js";
import "./dialog.js";
import "./keyboard.js";
import "./live.js";
import "./theme.js";
import "./toast.js";
