"""Weights: servers that misbehave, files that are not what they claim, and the same body from each source."""
import hashlib
import io
import pickle
import re
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from imgcls.core import UserError
from imgcls.training import models
from imgcls.training.models import find_body, find_weights, load_body


@pytest.fixture(autouse=True)
def homes(tmp_path, monkeypatch):
    "Own caches of PyTorch and of the Hugging Face hub, and no proxy on the way to this machine."
    from huggingface_hub import constants
    monkeypatch.setenv('TORCH_HOME', str(tmp_path/'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path/'hf'))
    monkeypatch.setattr(constants, 'ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    return tmp_path


def kept(root): return sorted(p.relative_to(root).as_posix() for p in root.rglob('*') if p.is_file())


def one_line(e):
    text = str(e.value)
    assert '\n' not in text and 20 < len(text) < 700
    return text


def state(arch, seed=0):
    torch.manual_seed(seed)
    from torchvision.models import get_model
    return get_model(arch, weights=None).state_dict()


def pth(sd):
    out = io.BytesIO()
    torch.save(sd, out)
    return out.getvalue()


# ---- servers

@contextmanager
def server(answer, head=None):
    "`answer(handler)` sends the body of a GET; HEAD is answered with 200 or by `head`."
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            asked.append('HEAD')
            if head: return head(self)
            self.send_response(200)
            self.end_headers()

        def do_GET(self):
            asked.append('GET')
            answer(self)

        def log_message(self, *a): pass
    s = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    s.daemon_threads = True
    threading.Thread(target=s.serve_forever, daemon=True).start()
    try: yield f'http://127.0.0.1:{s.server_port}', asked
    finally:
        s.shutdown()
        s.server_close()


def send(content, code=200, length=None, kind='application/octet-stream'):
    def answer(h):
        h.send_response(code)
        h.send_header('Content-Length', str(length or len(content)))
        h.send_header('Content-Type', kind)
        h.end_headers()
        h.wfile.write(content)
    return answer


@pytest.fixture
def resnet18(monkeypatch):
    "Torchvision's resnet18, small enough for a test, and a card that points at a server."
    content = pth(state('resnet18'))
    name = f'resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    card = models._card

    def at(url):
        def there(arch): return replace(card(arch), url=f'{url}/{name}') if arch == 'resnet18' else card(arch)
        monkeypatch.setattr(models, '_card', there)
    return content, name, at


def three_ways_out(text):
    ways = 'go online once|try again', '--weights FILE', '--arch efficientnet_lite0'
    return 'resnet18' in text and all(re.search(way, text) for way in ways)


def test_download_is_checked_kept_and_not_done_twice(homes, resnet18):
    content, name, at = resnet18
    with server(send(content)) as (url, asked):
        at(url)
        body = load_body(find_weights('resnet18'))
        assert asked == ['HEAD', 'GET'] and kept(homes) == [f'torch/hub/checkpoints/{name}']
    again = load_body(find_weights('resnet18'))  # the server is gone
    assert again.sha == body.sha and body.n_features == 512 and again.weights.file.endswith(name)
    want = state('resnet18')
    for k, v in body.module.state_dict().items(): assert torch.equal(v, want[k])
    assert find_weights('auto').arch == 'resnet18', 'auto takes what is here'


def test_refused_connection(homes, resnet18):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        resnet18[2](f'http://127.0.0.1:{s.getsockname()[1]}')
        start = time.perf_counter()
        with pytest.raises(UserError, match="not on this machine and http://127.* can't be reached") as e:
            find_weights('resnet18')
        assert time.perf_counter() - start < 3 and three_ways_out(one_line(e)) and not kept(homes)
        auto = find_weights('auto')
        assert auto.arch == 'efficientnet_lite0' and 'resnet18' in auto.note
        assert load_body(auto).n_features == 1280


def test_server_that_never_answers(homes, resnet18):
    stop = threading.Event()
    with server(lambda h: stop.wait(30), head=lambda h: stop.wait(30)) as (url, _):
        resnet18[2](url)
        start = time.perf_counter()
        with pytest.raises(UserError, match="can't be reached") as e: find_weights('resnet18')
        assert time.perf_counter() - start < 4  # 3 on an idle machine
        assert three_ways_out(one_line(e)) and not kept(homes)
        stop.set()


def test_port_that_accepts_and_says_nothing(homes, resnet18):
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        s.listen()
        resnet18[2](f'http://127.0.0.1:{s.getsockname()[1]}')
        start = time.perf_counter()
        with pytest.raises(UserError, match="can't be reached"): find_weights('resnet18')
        assert time.perf_counter() - start < 4


def stall(h):
    "Half of what was promised, then silence."
    h.send_response(200)
    h.send_header('Content-Length', '100000')
    h.end_headers()
    h.wfile.write(b'x'*5000)
    h.wfile.flush()
    time.sleep(4)


BAD = {'truncated': lambda content: send(content[:-1000], length=len(content)),
       'other content': lambda content: send(pth(state('resnet18', 1))),
       'not found': lambda content: send(b'nothing here', 404),
       'page': lambda content: send(b'<!doctype html><h1>Log in to the hotel WLAN</h1>', kind='text/html'),
       'broken': lambda content: lambda h: h.connection.close(),
       'stall': lambda content: stall,
       'error': lambda content: send(b'', 500)}


@pytest.mark.parametrize('what', BAD)
def test_bad_download(homes, resnet18, monkeypatch, what):
    content, name, at = resnet18
    answer = BAD[what](content)
    patience = models._patience
    monkeypatch.setattr(models, '_patience', lambda: patience(1))
    with server(answer) as (url, asked):
        at(url)
        w = find_weights('resnet18')
        start = time.perf_counter()
        with pytest.raises(UserError, match='could not be downloaded') as e: load_body(w)
        assert time.perf_counter() - start < 4 and 'GET' in asked
    assert three_ways_out(one_line(e)) and url in str(e.value)
    assert not kept(homes), 'something bad is left in the cache'
    assert socket.getdefaulttimeout() is None
    with server(send(content)) as (url, _):  # and when the server is well again
        at(url)
        assert load_body(find_weights('resnet18')).n_features == 512


def test_damaged_file_in_the_cache_of_pytorch(homes, resnet18):
    content, name, at = resnet18
    at('http://127.0.0.1:9')
    file = homes/'torch'/'hub'/'checkpoints'/name
    file.parent.mkdir(parents=True)
    file.write_bytes(content[:10_000])
    with pytest.raises(UserError, match=f"{name} can't be read") as e: load_body(find_weights('resnet18'))
    one_line(e)
    assert file.exists(), "other programs' caches are not ours to clean"


# ---- timm and the hub

def hub(root, repo, arch, file='model.safetensors'):
    "The folders in which huggingface_hub keeps a model."
    import timm
    commit = 'c0ffee'*6 + 'abcd'
    base = root/'hf'/f"models--{repo.replace('/', '--')}"
    (base/'refs').mkdir(parents=True)
    (base/'refs'/'main').write_text(commit)
    (base/'snapshots'/commit).mkdir(parents=True)
    torch.manual_seed(5)
    m = timm.create_model(arch, pretrained=False)
    save_file(m.state_dict(), base/'snapshots'/commit/file)
    return m


def test_timm_weights_from_the_local_cache(homes):
    repo = find_weights('test_resnet', 'random')
    card = models._card('test_resnet')
    assert card.origin == 'timm' and card.name.count('/') == 1 and repo.origin == 'random'
    m = hub(homes, card.name, 'test_resnet')
    w = find_weights('test_resnet')
    assert w.file and w.res == card.res
    body = load_body(w)
    x = torch.randn(2, 3, w.res, w.res)
    m.eval()
    with torch.inference_mode():
        want = m.forward_head(m.forward_features(x), pre_logits=True)
        torch.testing.assert_close(body.module(x), want)


def test_timm_weights_without_a_network(homes):
    start = time.perf_counter()
    with pytest.raises(UserError, match='test_resnet are not on this machine') as e:
        find_weights('test_resnet')
    assert time.perf_counter() - start < 5 and '--weights FILE' in one_line(e)


def test_timm_weights_damaged_in_the_cache(homes):
    card = models._card('test_resnet')
    hub(homes, card.name, 'test_resnet')
    file = next((homes/'hf').rglob('model.safetensors'))
    file.write_bytes(file.read_bytes()[:3000])
    w = find_weights('test_resnet')
    with pytest.raises(UserError, match='test_resnet could not be loaded') as e: load_body(w)
    one_line(e)


# ---- files

def test_own_file_in_every_form(tmp_path):
    sd = state('resnet18', 3)
    save_file(sd, tmp_path/'a.safetensors')
    torch.save(sd, tmp_path/'b.pth')
    torch.save(dict(state_dict=sd, epoch=3), tmp_path/'c.pt')
    other_head = sd | {'fc.weight': torch.zeros(7, 512), 'fc.bias': torch.zeros(7)}
    save_file(other_head, tmp_path/'7 classes.safetensors')
    halves = {k: v.half() if v.is_floating_point() else v for k, v in sd.items()}
    save_file(halves, tmp_path/'half.safetensors')
    shas = {f.name: load_body(find_weights('resnet18', f)).sha for f in tmp_path.iterdir() if f.is_file()}
    half = shas.pop('half.safetensors')
    assert len(shas) == 4 and len(set(shas.values())) == 1 and half not in shas.values()
    w = find_weights('resnet18', tmp_path/'a.safetensors')
    assert (w.origin, w.name, w.res) == ('file', 'a.safetensors', 224) and w.mean[0] == pytest.approx(.485)


def test_a_file_is_known_by_its_whole_path(tmp_path, monkeypatch):
    "A study keeps the path, and is opened from anywhere."
    monkeypatch.chdir(tmp_path)
    save_file(state('resnet18'), 'w.safetensors')
    assert find_weights('resnet18', 'w.safetensors').file == str(tmp_path/'w.safetensors')


def test_metadata_of_a_file_goes_first(tmp_path):
    about = dict(arch='resnet18', mean='.1,.2,.3', std='.4,.5,.6', resolution='64', licence='CC0')
    save_file(state('resnet18'), tmp_path/'w.safetensors', metadata=about)
    w = find_weights('auto', tmp_path/'w.safetensors')
    assert (w.arch, w.mean, w.std, w.res, w.licence) == ('resnet18', (.1, .2, .3), (.4, .5, .6), 64, 'CC0')


NONSENSE = [dict(mean='a,b,c'), dict(mean='.5'), dict(std='0,0,0'), dict(resolution='large'),
            dict(resolution='-3'), dict(arch='resnet999')]


@pytest.mark.parametrize('about', NONSENSE)
def test_nonsense_in_the_metadata_of_a_file(tmp_path, about):
    save_file(state('resnet18'), tmp_path/'w.safetensors', metadata=dict(arch='resnet18') | about)
    with pytest.raises(UserError) as e: find_weights('auto', tmp_path/'w.safetensors')
    one_line(e)


class Evil:
    def __init__(self, mark): self.mark = mark
    def __reduce__(self): return open, (str(self.mark), 'w')


def test_a_file_with_a_program_in_it_is_refused_and_not_run(tmp_path):
    mark = tmp_path/'the program ran'
    torch.save(dict(state_dict=state('resnet18'), extra=Evil(mark)), tmp_path/'evil.pth')
    (tmp_path/'bare.pth').write_bytes(pickle.dumps(Evil(mark)))
    evil, bare = (find_weights('resnet18', tmp_path/name) for name in ('evil.pth', 'bare.pth'))
    for w in (evil, bare):
        with pytest.raises(UserError, match='or a PyTorch file of tensors alone') as e: load_body(w)
        one_line(e)
        assert not mark.exists()
    with pytest.raises(UserError, match='could run programs'): load_body(evil)


def truncated(f):
    save_file(state('resnet18'), f)
    f.write_bytes(f.read_bytes()[:-5000])


@pytest.mark.parametrize('make, says', [
    # every tensor of resnet18 is in resnet34, with the same shape: only what is left over tells them apart
    (lambda f: save_file(state('resnet34'), f), 'tensors that the body lacks, such as layer1.2'),
    (lambda f: save_file(state('resnet50'), f), "doesn't fit: .* instead of"),
    (lambda f: save_file({'layer.weight': torch.zeros(3, 3)}, f), 'missing; the file has layer.weight'),
    (lambda f: f.write_bytes(b''), 'no whole safetensors file'),
    (lambda f: f.write_bytes(b'<html>log in</html>'), 'no whole safetensors file'),
    (truncated, 'no whole safetensors file'),
    (lambda f: f.mkdir(), 'expects a file'), (lambda f: None, 'there is no file')])
def test_file_that_does_not_fit(tmp_path, make, says):
    file = tmp_path/'w.safetensors'
    make(file)
    with pytest.raises(UserError, match=says) as e: load_body(find_weights('resnet18', file))
    assert 'w.safetensors' in one_line(e)


CONTENTS = b'', b'garbage', pth([1, 2, 3]), pth({'a': 'text'}), pth(torch.zeros(3)), pth(state('alexnet'))


@pytest.mark.parametrize('content', CONTENTS, ids=range(len(CONTENTS)))
def test_pytorch_file_that_does_not_fit(tmp_path, content):
    (tmp_path/'w.pth').write_bytes(content)
    with pytest.raises(UserError, match='w.pth') as e: load_body(find_weights('resnet18', tmp_path/'w.pth'))
    one_line(e)


def test_old_names_of_densenet(tmp_path):
    sd = state('densenet121')
    before = {re.sub(r'(denselayer\d+\.(?:norm|conv))([12])', r'\1.\2', k): v for k, v in sd.items()}
    save_file(before, tmp_path/'old.safetensors')
    save_file(sd, tmp_path/'new.safetensors')
    old, new = (find_weights('densenet121', tmp_path/f'{age}.safetensors') for age in ('old', 'new'))
    assert load_body(old).sha == load_body(new).sha


ARCHS = 'mobilenet_v3_small', 'swin_t', 'test_vit', 'test_efficientnet', 'test_convnext', 'test_resnet'


@pytest.mark.parametrize('arch', ARCHS)
def test_a_whole_model_fits_its_body(tmp_path, arch):
    import timm
    model = timm.create_model(arch, pretrained=False) if 'test' in arch else None
    sd = model.state_dict() if model else state(arch)
    save_file({k: v.clone() for k, v in sd.items()}, tmp_path/'w.safetensors')
    body = load_body(find_weights(arch, tmp_path/'w.safetensors'))
    assert all(torch.equal(v, sd[k]) for k, v in body.module.state_dict().items())


def test_packaged_weights_are_checked(tmp_path):
    w = find_weights('efficientnet_lite0')
    data = bytearray(open(w.file, 'rb').read())
    data[len(data)//2] ^= 1
    (tmp_path/'w.pth').write_bytes(data)
    changed = replace(w, file=str(tmp_path/'w.pth'))
    with pytest.raises(UserError, match='is not the file we know'): load_body(changed)


# ---- bodies

def test_random_weights_come_from_the_seed_alone():
    w = find_weights('resnet18', 'random')
    torch.manual_seed(11)
    a = load_body(w)
    after = torch.rand(3)
    torch.manual_seed(11)
    assert torch.equal(torch.rand(3), after), "the user's own random numbers were used up"
    assert load_body(w).sha == a.sha != load_body(w, seed=1).sha
    assert w.origin == 'random' and not w.url and not w.file


def test_no_body_takes_photos_of_a_few_pixels():
    body = load_body(find_weights('resnet18', 'random'))
    assert body.takes(32) and body.takes(np.int64(64))
    assert not any(body.takes(side) for side in (5, 0, -32, 32.5, '32', None))


@pytest.mark.parametrize('arch', [5, None, ['resnet18'], b'resnet18'])
def test_an_architecture_is_a_name(arch):
    for find in (find_weights, load_body):
        with pytest.raises(UserError, match='expected the name of an architecture'): find(arch)


def test_unknown_architecture():
    with pytest.raises(UserError, match="no architecture is called 'resnet81'; near are .*resnet18") as e:
        find_weights('resnet81')
    one_line(e)


N_FEATURES = dict(resnet18=512, resnet50=2048, mobilenet_v3_small=1024, test_vit=64, cifar_net=84)


@pytest.mark.parametrize('arch, n', N_FEATURES.items())
def test_features_of_a_body(arch, n):
    body = load_body(find_weights(arch, 'random'))
    assert body.n_features == n and not body.module.training and len(body.sha) == 12


# ---- the same body again

def test_a_body_is_found_again(homes, resnet18, tmp_path):
    save_file(state('resnet18', 3), tmp_path/'mine.safetensors')
    content, name, at = resnet18
    with server(send(content)) as (url, _):
        at(url)
        found = [find_weights('resnet18', w) for w in (None, 'random', tmp_path/'mine.safetensors')]
        bodies = [load_body(w) for w in (*found, 'efficientnet_lite0', 'cifar_net')]
    for body in bodies:
        w = body.weights
        assert find_body(w.arch, w.origin, w.file, body.sha).sha == body.sha, w.origin


def test_a_missing_file_is_never_replaced(homes, resnet18, tmp_path, monkeypatch):
    "Neither by the usual weights of the architecture nor by somebody else's file of that name."
    content, name, at = resnet18
    cached = homes/'torch'/'hub'/'checkpoints'/name
    cached.parent.mkdir(parents=True)
    cached.write_bytes(content)
    at('http://127.0.0.1:9')
    file, here = tmp_path/'mine.safetensors', tmp_path/'here'
    save_file(state('resnet18', 3), file)
    body = load_body(find_weights('resnet18', file))
    here.mkdir()
    monkeypatch.chdir(here)
    save_file(state('resnet18', 4), 'mine.safetensors')
    file.unlink()
    with pytest.raises(UserError, match=f'{body.sha} of resnet18 .*mine.safetensors, which is missing') as e:
        find_body('resnet18', 'file', str(file), body.sha)
    one_line(e)


def test_other_weights_in_the_same_place_are_refused(tmp_path):
    file = tmp_path/'mine.safetensors'
    save_file(state('resnet18', 3), file)
    body = load_body(find_weights('resnet18', file))
    save_file(state('resnet18', 4), file)
    with pytest.raises(UserError, match=f'{body.sha} of resnet18 .*holds others now') as e:
        find_body('resnet18', 'file', str(file), body.sha)
    one_line(e)
    with pytest.raises(UserError, match='123456789abc of efficientnet_lite0 .*holds others now'):
        find_body('efficientnet_lite0', 'package', '', '123456789abc')


def test_weights_that_cannot_be_downloaded_again_are_named(homes, resnet18):
    resnet18[2]('http://127.0.0.1:9')
    with pytest.raises(UserError, match='weights of resnet18 are not on this machine'):
        find_body('resnet18', 'torchvision', '', '123456789abc')
