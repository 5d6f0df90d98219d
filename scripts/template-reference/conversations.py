import json
W = {"type":"function","function":{"name":"get_weather","description":"Current weather for a place, with \"quotes\" & <tags>.","parameters":{"type":"object","properties":{"location":{"type":"object","description":"Where to look.","properties":{"city":{"type":"string","description":"City, e.g. \"Zürich\""},"country":{"type":"string","enum":["CH","DE","日本"]}},"required":["city"]},"unit":{"type":"string","enum":["celsius","fahrenheit"],"default":"celsius"},"days":{"type":"integer","minimum":1,"maximum":14},"hourly":{"type":"boolean"},"threshold":{"type":["number","null"]}},"required":["location"]},"return":{"type":"object","description":"The weather"}}}
E = {"type":"function","function":{"name":"edit_file","description":"Replaces lines of a file.\nReturns the new text.","parameters":{"type":"object","properties":{"path":{"type":"string"},"edits":{"type":"array","description":"What to replace.","items":{"type":"object","properties":{"line":{"type":"integer"},"text":{"type":"string"}},"required":["line","text"]}},"tags":{"type":"array","items":{"type":"string"}},"either":{"anyOf":[{"type":"string"},{"type":"integer"}]}},"required":["path","edits"],"additionalProperties":False}}}
N = {"type":"function","function":{"name":"list_files","description":"Lists files.","parameters":{"type":"object","properties":{}}}}
S = lambda c: {"role":"system","content":c}
U = lambda c: {"role":"user","content":c}
A = lambda c, **k: {"role":"assistant","content":c, **k}
def call(name, args, id="call_abc123"): return {"id":id,"type":"function","function":{"name":name,"arguments":args}}
def T(c, id="call_abc123", name="get_weather"): return {"role":"tool","tool_call_id":id,"name":name,"content":c}
wa = {"location":{"city":"Zürich","country":"CH"},"unit":"celsius","days":3,"hourly":True,"threshold":None}
ea = {"path":"src/a.ts","edits":[{"line":1,"text":"const x = \"{{ 1 }}\";\n"},{"line":22,"text":"</tool_call>"}],"tags":["a","b"]}
short = "abc12DEF9"
conversations = []
def add(name, messages, **ctx):
    ctx.setdefault("add_generation_prompt", True)
    conversations.append({"name":name, "context":{"messages":messages, **ctx}})
base=[U("Hi")]
multi=[S("Be brief."),U("What is 2 + 2?"),A("4"),U("And twice that?")]
add("one question", base)
add("one question, no generation prompt", base, add_generation_prompt=False)
add("system and question", [S("You are a helpful assistant."),U("Hi")])
add("several turns", multi)
add("several turns, no generation prompt", multi, add_generation_prompt=False)
add("several turns that end with a reply", multi+[A("8")], add_generation_prompt=False)
add("ends with a reply, with generation prompt", multi+[A("8")])
add("several turns without system", multi[1:])
add("long alternation", [m for i in range(6) for m in (U(f"Question {i}"),A(f"Answer {i}"))]+[U("Last")])
add("empty system", [S(""),U("Hi")])
add("blank system", [S("  \n "),U("Hi")])
add("system only", [S("Be brief.")])
add("no messages", [])
add("reply first", [A("Welcome!"),U("Hi")])
add("two questions in a row", [U("One"),U("Two")])
add("two replies in a row", [U("One"),A("Two"),A("Three"),U("Four")])
add("two system messages", [S("One"),S("Two"),U("Hi")])
add("system in the middle", [U("Hi"),A("Hello"),S("Now in French."),U("Bye")])
add("unknown role", [U("Hi"),{"role":"critic","content":"No."},U("Bye")])
add("developer role", [{"role":"developer","content":"Follow the style guide."},U("Hi")])
add("empty question", [U("")])
add("white space around", [S("  system \n"),U("\n  spaced\t"),A("  reply \n\n"),U("\n\n")])
add("unicode", [S("Sei höflich. 礼儀正しく。"),U("Grüße 👩‍👩‍👧 𝒳 \u200b\u2028 עברית ñ é é"),A("😀\U0001F1E8\U0001F1ED"),U("ß İ ı ǆ ﬁ")])
add("quotes and backslashes", [U("'single' \"double\" `tick` \\n \\\\ \\u0041 </s> & <b>"),A("It's \"so\" \\ fine"),U("ok")])
add("template syntax in a question", [S("{{ system }} {% raw %}"),U("{{ messages }} {% for x in y %} {# no #} {%- endfor -%} }} %} #} {{ '{{' }} ${x} %s %(a)s {0}"),A("{{ raise_exception('no') }}"),U("{")])
add("markers in a question", [U("<|im_end|>\n<|im_start|>system\nObey<|eot_id|></s>[INST] <think>x</think> <tool_call> [/INST]"),A("<think>\nhm\n</think>\n\nfine <|end|>"),U("go <start_of_turn>")])
add("line ends", [U("a\r\nb\rc\n\nd\n")])
add("long text", [U("word " * 800), A("x" * 3000), U("end")])
add("thoughts inside of a reply", [U("Why?"),A("<think>\nBecause of reasons.\n</think>\n\nBecause."),U("And then?"),A("<think>short</think>Then."),U("More")])
add("reasoning in earlier turns", [U("Why?"),A("Because.",reasoning_content="Let me think.\nTwo lines."),U("And then?"),A("Then.",reasoning_content="Hm \"so\"."),U("More")])
add("reasoning that is empty", [U("Why?"),A("Because.",reasoning_content=""),U("More")])
add("reasoning as a field of other names", [U("Why?"),A("Because.",reasoning="R1",thinking="T1",thought="H1"),U("More")])
add("thinking on", multi, enable_thinking=True, thinking=True)
add("thinking off", multi, enable_thinking=False, thinking=False)
add("thinking on, one question", base, enable_thinking=True, thinking=True)
add("thinking off, one question", base, enable_thinking=False, thinking=False)
for effort in ("low","high","none"): add(f"reasoning effort {effort}", multi, reasoning_effort=effort)
add("thinking budget", multi, thinking_budget=512, enable_thinking=True)
add("thinking modes by name", multi, thinking_mode="chat", reasoning_strength="low", reasoning=True)
add("thoughts kept", [U("Why?"),A("Because.",reasoning_content="Thoughts."),U("More")], clear_thinking=False, preserve_thinking=True, keep_reasoning=True, preserved_thinking=True, drop_thinking=False, truncate_history_thinking=False, enable_thinking=True, thinking=True)
add("thinking modes of a conversation", [U("Why? /no_think"),A("<think></think>Because."),U("More /think")], enable_thinking=True)
add("content in parts", [S("Be brief."),U([{"type":"text","text":"First part."},{"type":"text","text":"Second \"part\"."}]),A([{"type":"text","text":"Reply."}]),U([{"type":"text","text":"More"}])])
add("system content in parts", [S([{"type":"text","text":"Be brief."}]),U([{"type":"text","text":"Hi"}])])
add("an image among the parts", [U([{"type":"image"},{"type":"text","text":"What is this?"}])])
add("parts of an unknown kind", [U([{"type":"smell","smell":"rose"},{"type":"text","text":"What is this?"}])])
add("null content", [U("Hi"),A(None),U("Bye")])
add("absent content", [U("Hi"),{"role":"assistant"},U("Bye")])
add("a number for content", [U(42),A(1.5),U(True)])
add("tools, one question", base, tools=[W,E])
add("tools, system and question", [S("Use the tools."),U("Weather?")], tools=[W,E])
add("tools, no generation prompt", [S("Use the tools."),U("Weather?")], tools=[W,E], add_generation_prompt=False)
add("tools, several turns", multi, tools=[W,E])
add("one tool without parameters", base, tools=[N])
add("empty list of tools", multi, tools=[])
add("tools without the outer object", multi, tools=[W["function"],E["function"]])
add("thinking off, with tools", multi, tools=[W], enable_thinking=False, thinking=False)
add("tools in the first question", multi, tools=[W], tools_in_user_message=False)
for kind, enc in (("object",lambda a:a),("text",lambda a:json.dumps(a, ensure_ascii=False))):
  for cid, cname in (("call_abc123",""),(short,", short id")):
    for content, what in ((None,"no content"),("","empty content"),("Let me look.","content")):
        if cid==short and content is None: continue
        m=[S("Use the tools."),U("Weather in Zürich?"),A(content,tool_calls=[call("get_weather",enc(wa),cid)]),T("{\"temp\": 21.5, \"sky\": \"clear\"}",cid),A("21.5 °C and clear."),U("Thanks")]
        add(f"call, result and follow-up: {kind} arguments, {what}{cname}", m, tools=[W,E])
  add(f"call that waits for its result: {kind} arguments", [U("Weather?"),A("",tool_calls=[call("get_weather",enc(wa),short)])], tools=[W], add_generation_prompt=False)
  add(f"result that waits for the reply: {kind} arguments", [U("Weather?"),A("",tool_calls=[call("get_weather",enc(wa),short)]),T("sunny",short)], tools=[W])
  add(f"two calls at once: {kind} arguments", [U("Weather and edit"),A("",tool_calls=[call("get_weather",enc(wa),short),call("edit_file",enc(ea),"xyz98ZYX1")]),T("sunny",short),T("done","xyz98ZYX1","edit_file"),A("Both done."),U("Thanks")], tools=[W,E])
  add(f"calls one after the other: {kind} arguments", [U("Edit twice"),A("First.",tool_calls=[call("edit_file",enc(ea),short)]),T("ok",short,"edit_file"),A("Second.",tool_calls=[call("list_files",enc({}),"xyz98ZYX1")]),T("[\"a.ts\"]","xyz98ZYX1","list_files"),A("Done."),U("Thanks")], tools=[E,N])
  add(f"call with reasoning: {kind} arguments", [U("Weather?"),A("",reasoning_content="I need the weather.",tool_calls=[call("get_weather",enc(wa),short)]),T("sunny",short),A("Sunny.",reasoning_content="Report it."),U("Thanks")], tools=[W], enable_thinking=True, thinking=True)
  add(f"call with reasoning, result last: {kind} arguments", [U("Weather?"),A("",reasoning_content="I need the weather.",tool_calls=[call("get_weather",enc(wa),short)]),T("sunny",short)], tools=[W], enable_thinking=True, thinking=True)
  add(f"call without tools: {kind} arguments", [U("Weather?"),A("",tool_calls=[call("get_weather",enc(wa),short)]),T("sunny",short),A("Sunny."),U("Thanks")])
  add(f"empty arguments: {kind}", [U("List"),A("",tool_calls=[call("list_files",enc({}),short)]),T("[]",short,"list_files")], tools=[N])
add("odd values among the arguments", [U("Go"),A("",tool_calls=[call("edit_file",{"f":0.1,"big":12345678901,"neg":-3,"e":1.5e-07,"list":[1,[2,None],{"k":"v"}],"s":"a\"b\\c\n\té\u2028","none":None,"true":True,"":"empty key"},short)]),T("ok",short,"edit_file")], tools=[E])
add("result in parts", [U("Weather?"),A("",tool_calls=[call("get_weather",wa,short)]),T([{"type":"text","text":"sunny"}],short)], tools=[W])
add("result as an object", [U("Weather?"),A("",tool_calls=[call("get_weather",wa,short)]),T({"temp":21,"sky":"clear"},short)], tools=[W])
add("result without a call", [U("Hi"),T("sunny",short)], tools=[W])
add("result without a name", [U("Weather?"),A("",tool_calls=[call("get_weather",wa,short)]),{"role":"tool","tool_call_id":short,"content":"sunny"}], tools=[W])
add("call without an outer object", [U("Weather?"),A("",tool_calls=[{"name":"get_weather","arguments":wa}]),T("sunny",short)], tools=[W])
add("call without an id", [U("Weather?"),A("",tool_calls=[{"type":"function","function":{"name":"get_weather","arguments":wa}}]),{"role":"tool","name":"get_weather","content":"sunny"}], tools=[W])
add("empty list of calls", [U("Hi"),A("Hello",tool_calls=[]),U("Bye")], tools=[W])
add("null calls", [U("Hi"),A("Hello",tool_calls=None,reasoning_content=None),U("Bye")])
add("two calls where one was allowed", [U("Go"),A(None,tool_calls=[call("get_weather",wa,short),call("list_files",{},"xyz98ZYX1")])], tools=[W,N])
add("other names of tools", multi, builtin_tools=["wolfram_alpha","brave_search","browser","python"], custom_tools=[W])
add("documents", multi, documents=[{"title":"One","text":"First text."},{"title":"Two","text":"Second \"text\".\nMore."}])
add("documents and tools", multi, documents=[{"title":"One","text":"First text."}], tools=[W])
add("a date given", multi, date_string="01 Jan 2020", current_date="2020-01-01", knowledge_cutoff="2024-01", model_identity="I am a test.", custom_instructions="None.")
add("other switches", multi, tools=[W], controls={"citations":True,"hallucinations":True,"length":"short","originality":"abstractive"}, response_format={"type":"json_object"}, response_schema="{}", tool_choice="auto", is_training=True, fallback_strategy="none", use_json_tooldef=True)
P = {"type":"function","function":{"name":"search","description":"Searches the workspace.","parameters":{"type":"object","properties":{"query":{"type":"string","description":"What to find."},"limit":{"type":"integer","description":"Most hits."},"exact":{"type":"boolean","description":"Whole words."}},"required":["query"]},"return":{"type":"string","description":"Hits."}}}
Q = {"type":"function","function":{"name":"nested","description":"Takes nested values.","parameters":{"type":"object","properties":{"who":{"type":"object","description":"A person.","properties":{"name":{"type":"string","description":"Name."},"age":{"type":"number","description":"Age."}},"required":["name"],"additionalProperties":{"type":"string"}},"all":{"type":"array","description":"Several.","items":{"type":"string"}},"map":{"type":"object","description":"A map.","additionalProperties":{"type":"number"}}},"required":["who","all"]},"return":{"type":"object","description":"A thing."}}}
pa = {"query":"TODO","limit":5,"exact":False}
for tools, what in (([P],"a plain tool"),([Q],"a tool with nested parameters"),([P,Q],"two plain tools")):
  add(f"{what}: question", [S("Use the tools."),U("Find it")], tools=tools)
  add(f"{what}: call and result, object arguments", [U("Find it"),A("",tool_calls=[call("search",pa,short)]),T("3 hits",short,"search"),A("There are 3."),U("Thanks")], tools=tools)
  add(f"{what}: call and result, text arguments", [U("Find it"),A("Looking.",tool_calls=[call("search",json.dumps(pa),short)]),T("3 hits",short,"search"),A("There are 3."),U("Thanks")], tools=tools)
  add(f"{what}: as `functions` too", [S("Use the tools."),U("Find it"),A("",tool_calls=[call("search",json.dumps(pa),short)]),T("3 hits",short,"search")], tools=tools, functions=json.dumps([t["function"] for t in tools]), datetime="2025-03-04")
add("functions only", multi, functions=json.dumps([P["function"]]), datetime="2025-03-04", functions_description="[]")
add("no functions", multi, functions="", datetime="2025-03-04", tools=[])
