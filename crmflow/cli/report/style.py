"""The page's look: light or dark as the reader has it, narrow or wide, and on paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --card: #ffffff; --text: #1c2430; --quiet: #566173; --line: #dde1e7; --track: #e9edf3;
  --bar: #2f62c9; --end: #17805b; --focus: #b3261e; --shade: 0 1px 2px rgb(20 30 50 / 8%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151b; --card: #1a2029; --text: #e6eaf0; --quiet: #a3aebd; --line: #323b48; --track: #2a323e;
    --bar: #7ba6f7; --end: #55c79b; --focus: #ffb4ab; --shade: none;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif;
}
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; z-index: 1; background: var(--card); padding: .5rem 1rem; }
a { color: var(--bar); text-underline-offset: .15em; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; border-radius: 3px; }
header, nav, main, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 2.25rem; }
h1 { margin: 0; font-size: 1.9rem; line-height: 1.2; letter-spacing: -.015em; }
header p { margin: .35rem 0 0; color: var(--quiet); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; margin: 1rem 0 0; padding: 0; }
section { margin: 1.5rem 0; padding: 1.5rem; background: var(--card); border-radius: 10px; box-shadow: var(--shade); }
section > :first-child { margin-top: 0; }
h2 { margin: 0; font-size: 1.35rem; line-height: 1.3; overflow-wrap: anywhere; }
h3 { margin: 2rem 0 .25rem; font-size: 1.05rem; }
.note { margin: .25rem 0 0; color: var(--quiet); }
.sums { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); gap: 1rem; margin: 1rem 0 1.5rem; }
.sums div { border-left: 3px solid var(--bar); padding-left: .75rem; }
.sums dt { color: var(--quiet); font-size: .9rem; }
.sums dd { margin: 0; font-size: 1.7rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.pair {
  display: grid; align-items: start; grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); gap: 1rem 2.25rem;
  margin-top: .75rem;
}
figure { margin: 0; }
.below { margin-top: 1.25rem; }
figcaption, caption { color: var(--quiet); font-size: .875rem; text-align: left; padding-bottom: .6rem; }
figure svg { display: block; width: 100%; max-width: 30rem; height: auto; }
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 4rem); }
.scroll {
  overflow: auto; max-height: 27rem;
  background:
    linear-gradient(transparent, var(--card) 70%) 0 100% / 100% 2.5rem no-repeat local,
    linear-gradient(90deg, transparent, var(--card) 70%) 100% 0 / 2.5rem 100% no-repeat local,
    linear-gradient(transparent, var(--line)) 0 100% / 100% 1rem no-repeat scroll,
    linear-gradient(90deg, transparent, var(--line)) 100% 0 / 1rem 100% no-repeat scroll;
}
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; padding-left: .15rem; }
.quiet { color: var(--quiet); font-weight: 400; }
thead th { white-space: normal; color: var(--quiet); font-weight: 600; vertical-align: bottom; position: sticky; top: 0;
  background: var(--card); box-shadow: inset 0 -1px var(--line); border-bottom: 0; }
tbody th { font-weight: 500; }
footer { padding-bottom: 2.5rem; color: var(--quiet); font-size: .875rem; }
@media (max-width: 54rem) {
  .pair { grid-template-columns: minmax(0, 1fr); }
  .scroll { max-height: 22rem; }
}
@media (max-width: 34rem) {
  header, nav, main, footer { padding-left: .75rem; padding-right: .75rem; }
  section { padding: 1rem .9rem; margin: .9rem 0; border-radius: 8px; }
  h1 { font-size: 1.5rem; }
  table { font-size: .8rem; }
  th, td { padding: .3rem .25rem; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root {
    --page: #ffffff; --card: #ffffff; --text: #000000; --quiet: #444444; --line: #cccccc; --track: #e9edf3;
    --bar: #2f62c9; --end: #17805b; --shade: none; color-scheme: light;
  }
  body { font-size: 10.5pt; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  nav, .skip { display: none; }
  section { padding: 0; margin: 1.2rem 0; }
  .scroll { max-height: none; overflow: visible; background: none; }
  thead th { position: static; }
  .pair { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); }
  figure, tr { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
}
"""
"""Nothing from outside stands in it."""
