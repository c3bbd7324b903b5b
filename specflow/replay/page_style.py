"""How the page of a replay looks: in light and in dark, on a screen and on paper."""

STYLE = """
:root{color-scheme:light dark;--paper:#fff;--ink:#1b1f24;--soft:#57606a;--rule:#d8dee4;--card:#f6f8fa;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#b8860b;--c5:#56b4e9;--c6:#8c564b;--c7:#7f7f7f;
--c8:#6a51a3}
@media(prefers-color-scheme:dark){:root{--paper:#0d1117;--ink:#e6edf3;--soft:#9aa4af;--rule:#30363d;
--card:#161b22;--c0:#58a6ff;--c1:#ff9656;--c2:#3fc79a;--c3:#e79ac6;--c4:#e3b341;--c5:#79d2ff;--c6:#c49c94;
--c7:#a8a8a8;--c8:#b39ddb}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1.5rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 .6rem}
h2{font-size:1.2rem;margin:2.6rem 0 .4rem;border-top:1px solid var(--rule);padding-top:1.2rem}
p{max-width:46rem;margin:.4rem 0}
.soft,.between,caption,dt{color:var(--soft)}
.between{font-size:.85em;white-space:nowrap}
dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.8rem;margin:1rem 0}
dl div{background:var(--card);border:1px solid var(--rule);border-radius:6px;padding:.6rem .8rem}
dt{font-size:.85rem}dd{margin:0;font-size:1.25rem;font-variant-numeric:tabular-nums}
dd .between{display:block;font-size:.8rem}
svg{display:block;width:100%;max-width:46rem;height:auto;margin:1rem 0;font:12px system-ui,sans-serif}
svg text{fill:var(--ink)}
.grid{stroke:var(--rule);fill:none}
.diagonal{stroke:var(--soft);stroke-dasharray:5 4;fill:none}
.whisker{stroke:var(--ink);fill:none;stroke-width:1.5}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.6rem 0}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.25rem .7rem;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th:first-child{text-align:left;font-weight:600}
thead th{font-weight:600;color:var(--soft)}
@media print{body{max-width:none}h2{break-after:avoid}svg,table{break-inside:avoid}}
"""
