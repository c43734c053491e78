// The style sheet of the page. The page's Content-Security-Policy names its SHA-256, so that no
// other style can apply; a test compares the two.
#include "tlsrpt/sum_print.h"

namespace tlsrpt {

std::string_view sum_html_style() {
  return R"(
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1a1d21; --soft: #5a626c; --rule: #d5dae0; --tile: #f4f6f8;
  --bad: #b3261e; --good: #b9c9d9; --edge: #5a626c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e6e9ed; --soft: #a4adb8; --rule: #363d46; --tile: #1d2228;
    --bad: #ff8a80; --good: #3d5167; --edge: #a4adb8;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 66rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .25rem; }
p { margin: .35rem 0; max-width: 48rem; }
.soft, footer { color: var(--soft); }
.verdict { font-size: 1.1rem; margin-top: 1rem; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: .75rem; margin: 1.25rem 0 0; }
.tiles div {
  background: var(--tile); border: 1px solid var(--rule); border-radius: .4rem;
  padding: .6rem .8rem;
}
.tiles dt { color: var(--soft); font-size: .875rem; }
.tiles dd { margin: 0; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
.tiles .bad { color: var(--bad); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin-top: .5rem; }
th, td {
  text-align: left; vertical-align: top; padding: .4rem .9rem .4rem 0;
  border-bottom: 1px solid var(--rule); unicode-bidi: isolate;
}
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-size: .875rem; font-weight: 600; white-space: nowrap; }
tbody th { font-weight: 600; overflow-wrap: anywhere; min-width: 9rem; }
td { overflow-wrap: anywhere; }
.whole { white-space: nowrap; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { width: 11rem; min-width: 6rem; }
.bar svg { display: block; width: 100%; height: 1rem; margin-top: .25rem; }
svg rect { stroke: var(--edge); stroke-width: 1; vector-effect: non-scaling-stroke; }
svg .good { fill: var(--good); }
svg .bad { fill: var(--bad); }
.key { display: inline-block; width: 1.6rem; height: .8rem; vertical-align: -.05rem; }
th small, td small { display: block; font-weight: 400; color: var(--soft); font-size: .875rem; }
ul { padding-left: 1.2rem; margin: .4rem 0; overflow-wrap: anywhere; }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); padding-top: .75rem;
  font-size: .875rem; }
@media (max-width: 40rem) {
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .bar { width: 6rem; }
}
@page { margin: 15mm; }
@media print {
  :root {
    color-scheme: light;
    --paper: #ffffff; --ink: #000000; --soft: #333333; --rule: #999999; --tile: #ffffff;
    --bad: #000000; --good: #ffffff; --edge: #000000;
  }
  body { padding: 0; max-width: none; font-size: 10pt; }
  .wide { overflow: visible; }
  h1, h2, h2 + p { break-after: avoid; }
  thead { display: table-header-group; }
  tr, .tiles, li { break-inside: avoid; }
}
)";
}

}  // namespace tlsrpt
