"""The status page: one HTML file that asks for /status.json again and again, and for nothing else. Texts only ever become text nodes."""

STYLE = """
:root{color-scheme:light dark;--ground:#f4f6f8;--card:#fff;--ink:#18202a;--dim:#596676;--line:#dfe4ea;--blue:#0969c8;--good:#18743a;
--bad:#c02626;--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--ground:#0f141a;--card:#171e27;--ink:#e7ecf2;--dim:#98a5b4;--line:#2a343f;--blue:#5fb0ff;--good:#4cc774;--bad:#ff8078;
--warn:#e3b341}}
*{box-sizing:border-box;margin:0}
body{background:var(--ground);color:var(--ink);font:15px/1.45 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
max-width:76rem;margin:auto;padding:1.5rem 1.25rem 2.5rem}
header{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:center;margin-bottom:1.25rem}
h1{font-size:1.35rem;font-weight:650;letter-spacing:-.01em}
h1 b{color:var(--blue);font-weight:inherit}
h2{font-size:1rem;font-weight:650;margin:0 0 .6rem}
small,th,dt,figcaption span,.dim{color:var(--dim)}
header small{margin-left:auto;text-align:right}
#state{display:flex;align-items:center;gap:.5rem;padding:.3rem .8rem;border:1px solid;border-radius:2rem;font-weight:600;color:var(--warn);
background:var(--card)}
#state::before{content:"";width:.6rem;height:.6rem;border-radius:50%;background:currentColor}
#state.good,.good{color:var(--good)}
#state.bad,.bad{color:var(--bad)}
.warn{color:var(--warn)}
dl,.charts{display:grid;gap:.75rem;grid-template-columns:repeat(6,1fr);margin-bottom:.75rem}
.charts{grid-template-columns:repeat(auto-fit,minmax(17rem,1fr))}
dl>div,figure,section{background:var(--card);border:1px solid var(--line);border-radius:.7rem;padding:.8rem 1rem}
dd{font-size:1.5rem;font-weight:600;line-height:1.2;font-variant-numeric:tabular-nums}
dt,small,th,figcaption span{font-size:.83rem}
dd small{display:block;font-weight:400;margin-top:.2rem}
figcaption{display:flex;justify-content:space-between;align-items:baseline;font-weight:600}
svg{display:block;width:100%;height:6.5rem;margin:.5rem 0 .25rem;overflow:visible}
path{fill:none;stroke-width:1.75;vector-effect:non-scaling-stroke;stroke-linejoin:round}
.a{stroke:var(--blue)}.b{stroke:var(--bad)}.c{stroke:var(--warn);stroke-dasharray:5 3}
.fill{fill:var(--blue);opacity:.13;stroke:none}
.grid{stroke:var(--line);stroke-width:1}
i{font-style:normal;font-weight:400;font-size:.83rem;margin-right:.75rem}
i::before{content:"";display:inline-block;width:1rem;border-top:2px solid;vertical-align:middle;margin-right:.35rem}
i.warn::before{border-top-style:dashed}
.axis{display:flex;justify-content:space-between}
.two{display:grid;gap:.75rem;grid-template-columns:3fr 2fr;margin-bottom:.75rem}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}
th{text-align:left;font-weight:500;padding:0 .75rem .3rem 0}
td{padding:.38rem .75rem .38rem 0;border-top:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
td.n,th.n{text-align:right;white-space:nowrap}
td:first-child,.keep{white-space:nowrap}
td code+br+.dim{font-size:.83rem}
:is(td,th):last-child{padding-right:0}
code{font:.87em ui-monospace,"DejaVu Sans Mono",monospace}
footer{margin-top:1rem;display:flex;flex-wrap:wrap;gap:.25rem 1.25rem}
a{color:var(--blue)}
.lost main{opacity:.45}
@media(max-width:64rem){dl{grid-template-columns:repeat(3,1fr)}}
@media(max-width:48rem){.two{grid-template-columns:1fr}dl{grid-template-columns:1fr 1fr}.topics td:first-child{white-space:normal}
body{padding:1rem .75rem}header small{margin:0;text-align:left;width:100%}
.refusals thead{position:absolute;clip-path:inset(50%)}.refusals tr{display:grid;grid-template-columns:auto 1fr;gap:0 .75rem;
border-top:1px solid var(--line);padding:.45rem 0}.refusals td{border:0;padding:.05rem 0;white-space:normal}
.refusals td:nth-child(n+3){grid-column:1/-1}}
@media(prefers-reduced-motion:no-preference){main{transition:opacity .3s}}
"""

SCRIPT = """
const $=id=>document.getElementById(id),clock=t=>new Date(t*1e3).toLocaleTimeString([],{hourCycle:"h23"}),
count=n=>n>=1e6?n.toLocaleString("en",{notation:"compact",maximumFractionDigits:2}):Math.round(n).toLocaleString("en"),
rate=n=>n&&n<10?n.toFixed(1):count(n),ms=s=>s<1?rate(s*1e3)+" ms":rate(s)+" s",
span=s=>s<120?Math.round(s)+" s":s<7200?Math.round(s/60)+" min":s<172800?Math.round(s/3600)+" h":Math.round(s/86400)+" days",
words={"broker-unavailable":"no connection to the broker","broker-blocked":"the broker takes no messages (a memory or disk alarm)",
draining:"stopping, what is in flight gets its answer",stuck:"a process does not answer","not-running":"a process is being restarted"};
function make(name,text,kind){const e=document.createElement(name);if(kind)e.className=kind;
e.append(...(Array.isArray(text)?text:[text]));return e}
function row(...cells){return make("tr",cells.map(([text,kind])=>make("td",text,kind)))}
function fill(id,rows,none,columns){if(!rows.length){const r=row([none,"dim"]);r.firstChild.colSpan=columns;rows=[r]}
$(id).replaceChildren(...rows)}
function tiles(all){$("tiles").replaceChildren(...all.map(([name,value,more])=>{
const d=make("dd",value);if(more)d.append(make("small",more));return make("div",[make("dt",name),d])}))}
function draw(id,lines,form,words){const svg=$(id),top=Math.max(...lines.flat(),0)||1,last=lines[0].length-1,
shape=ys=>ys.map((y,x)=>(x?"L":"M")+(x*300/last).toFixed(1)+" "+(78-74*y/top).toFixed(1)).join("");
lines.forEach((ys,n)=>svg.querySelector("."+"abc"[svg.dataset.from*1+n]).setAttribute("d",shape(ys)));
const f=svg.querySelector(".fill");if(f)f.setAttribute("d",shape(lines[0])+"L300 78L0 78Z");
const now=lines.map(ys=>form(ys[last]));$(id+"-now").textContent=now.join(" / ");
$(id+"-top").textContent="highest "+form(Math.max(...lines.flat(),0));
svg.setAttribute("aria-label",words+", now "+now.join(" and ")+", highest in 5 minutes "+form(Math.max(...lines.flat(),0)))}
function topic(arn){if(!arn)return"all others";const[, , ,region,account,name]=arn.split(":");
return[make("code",name),make("br",""),make("span",region+" \\u00b7 "+account,"dim")]}
function show(s){
const n=s.states.length,ready=s.states.filter(x=>x==="ready").length,why=[...new Set(s.states.filter(x=>x!=="ready"))],
state=$("state"),text=(n>1?ready+" of "+n+" processes ready":ready?"Ready":"Not ready")+why.map(w=>": "+(words[w]||w)).join("");
if(state.textContent!==text)state.textContent=text;
state.className=ready===n?"good":"bad";
document.title=(ready===n?"":"(!) ")+"SNS to RabbitMQ";
$("about").textContent="Broker "+s.brokers.join(", ")+" \\u00b7 version "+s.version+" ("+s.revision+") \\u00b7 up "+span(s.now-s.began);
const of=(low,high)=>s.verdicts.reduce((sum,v)=>v[1]>=low&&v[1]<high&&v[0]!=="unauthorized"?sum+v[2]:sum,0),
published=(s.verdicts.find(v=>v[0]==="published")||[0,0,0])[2],again=Math.max(0,s.broker_connections_total-n);
tiles([["Published",count(published),"since the start"],["Refused",count(of(400,500)),"for good"],
["Put off",count(of(500,600)),"SNS tries again"],
["In flight",count(s.in_flight),count(s.connections)+" connection"+(s.connections===1?"":"s")],
["Answered within",ms(s.answer[1]),"99 % within "+ms(s.answer[2])],
["Broker came back",count(again)+"\\u00d7","blocked for "+span(s.blocked_milliseconds/1e3)],
...(s.sqs?[["From SQS",count(s.sqs[0]),count(s.sqs[2])+" wait, "+count(s.sqs[1])+" refused"+
(s.sqs[3]?", "+count(s.sqs[3])+" errors":"")]]:[])]);
const r=s.rates,per=k=>r.map(x=>x[k]/s.step),each=n=>rate(n)+"/s";
draw("published",[per(0)],each,"Published a second");
draw("refused",[per(1),per(2)],each,"Refused for good and put off a second");
draw("confirm",[r.map(x=>x[3]?x[4]/x[3]/1e6:0)],ms,"Time until the broker's confirm");
fill("topics",s.topics.map(([arn,number,last])=>row([topic(arn)],[count(number),"n"],[clock(last),"n"])),
"No message has been published yet.",3);
fill("verdicts",s.verdicts.sort((a,b)=>b[2]-a[2]).map(([reason,status,number])=>
row([reason],[String(status),"n "+(status<300?"good":status<500?"bad":"warn")],[count(number),"n"])),"No request has been answered yet.",3);
fill("refusals",s.refusals.map(([at,status,reason,why,topic,id,client])=>row([clock(at)],
[[make("b",status,status<500?"bad":"warn")," "+reason],"keep"],[[why,...(topic?[make("br",""),make("code",topic,"dim")]:[])]],
[[make("code",client),...(id?[make("br",""),make("code",id,"dim")]:[])],"keep"])),"Nothing was refused.",4)}
async function turn(){if(!document.hidden){try{
const answer=await fetch("status.json",{cache:"no-store",signal:AbortSignal.timeout(5e3)});if(!answer.ok)throw 0;
show(await answer.json());document.body.className=""}catch{if(!document.body.className){document.body.className="lost";
$("state").className="bad";$("state").textContent="No answer from the bridge since "+new Date().toLocaleTimeString()}}}
setTimeout(turn,2e3)}
turn();
"""

# The SHA-256 of the two as a browser sees them: nothing else on the page is style or script, whatever a message says.
_STYLE_HASH = "ukK9HW5KRuZE783batMVbNjEPfJ7egEWmI1RZBqTKjE="
_SCRIPT_HASH = "mlTKr/ldVvVX5djDnJfGFHX2PMWQaF4scQwJ7rjuMoY="
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; script-src 'sha256-{_SCRIPT_HASH}'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def _chart(name: str, title: str, lines: str, legend: str) -> str:
    paths = "".join(f'<path class="{line}"/>' for line in lines.split())
    first = lines.split()[-1 if "fill" in lines else 0]
    return (
        f'<figure><figcaption>{title}<span id="{name}-now"></span></figcaption><svg id="{name}" role="img" viewBox="0 0 300 80" '
        f'preserveAspectRatio="none" data-from="{"abc".index(first)}"><path class="grid" d="M0 4H300M0 41H300M0 78H300"/>{paths}</svg>'
        f'<div class="axis"><small>{legend}</small><small id="{name}-top"></small></div></figure>'
    )


def _table(name: str, title: str, *columns: str) -> str:
    heads = "".join(f'<th scope="col"{" class=n" if column.startswith("#") else ""}>{column.lstrip("#")}</th>' for column in columns)
    return (
        f'<section><h2 id="{name}-title">{title}</h2><table class="{name}" aria-labelledby="{name}-title"><thead><tr>{heads}</tr></thead>'
        f'<tbody id="{name}"></tbody></table></section>'
    )


_CHARTS = (
    _chart("published", "Published", "fill a", "last 5 minutes")
    + _chart("refused", "Refused / put off", "b c", '<i class="bad">refused</i><i class="warn">put off</i>')
    + _chart("confirm", "Broker&rsquo;s confirm, mean", "fill a", "last 5 minutes")
)
PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>SNS to RabbitMQ</title>
<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M1 8h11M8 3l5 5-5 5'
 fill='none' stroke='%230969c8' stroke-width='2.5'/%3E%3C/svg%3E"><style>{STYLE}</style></head>
<body><header><h1>SNS <b aria-label="to">&rarr;</b> RabbitMQ</h1><p id="state" role="status">Asking the bridge</p><small id="about"></small>
</header><noscript><p>This page needs JavaScript; <a href="metrics">/metrics</a> and <a href="readyz">/readyz</a> do not.</p></noscript>
<main><dl id="tiles"></dl><div class="charts">{_CHARTS}</div>
<div class="two">{_table("topics", "Topics", "Topic", "#Published", "#Last")}
{_table("verdicts", "Answers", "Reason", "#Status", "#Number")}</div>
{_table("refusals", "Last refusals", "Time", "Answer", "Explanation, TopicArn", "Client, MessageId")}</main>
<footer class="dim"><a href="metrics">Metrics</a><a href="readyz">Readiness</a><a href="status.json">This page as JSON</a></footer>
<script>{SCRIPT}</script></body></html>
"""
