"""The journal of decisions: cut, edited by hand, shared by two programs; what `apply` and `restore` do to tables and files."""
import os
import subprocess
import sys
import textwrap

import pandas as pd
import pytest
from PIL import Image

from imgcls.core import UserError
from imgcls.journal import COLUMNS, Journal, apply, merge, restore

NAMES = ['plain.jpg', 'a,b "c".jpg', 'line\nbreak\r.jpg', '=1+1.jpg', '\u202eגפ\U0001f98a.jpg', '<script>.jpg', 'x'*300]


def made(path, n=6):
    j = Journal(path)
    for i in range(n): j.decide(NAMES[i % len(NAMES)], f'{i:064x}', 'fox', 'relabel' if i % 2 else 'keep', 'de,er' if i % 2 else '', 'label')
    return j


def photos(tmp_path, n=6, label='fox'):
    rows = []
    for i in range(n):
        f = tmp_path/'photos'/label/f'{i}.jpg'
        f.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (40*i, 0, 0)).save(f)
        rows.append(dict(path=str(f), label=label, split='test' if i == 0 else 'train', sha256=f'{i:064x}'))
    return pd.DataFrame(rows)


def test_one_line_a_decision_whatever_the_names(tmp_path):
    j = made(tmp_path/'d.csv', len(NAMES))
    assert len((tmp_path/'d.csv').read_bytes().splitlines()) == len(NAMES)+1 and Journal(j.path).notes == []
    assert Journal(j.path).decisions.equals(j.decisions)
    assert [*pd.read_csv(j.path, dtype=str).columns] == COLUMNS  # other programs read it


def test_cut_anywhere_loses_one_line_at_most(tmp_path):
    whole = made(tmp_path/'d.csv').path.read_bytes()
    head = whole.index(b'\n')+1
    for at in range(head, len(whole)):
        (tmp_path/'cut.csv').write_bytes(whole[:at])
        j, done = Journal(tmp_path/'cut.csv'), whole[:at].count(b'\n')-1
        assert len(j.decisions) >= done and len(j.decisions)+len(j.notes) <= done+1
        j.decide('new.jpg', 'f'*64, 'fox', 'delete')
        after = Journal(j.path)
        assert after.decisions.sha256.iloc[-1] == 'f'*64 and len(after.decisions) >= done+1
        assert (tmp_path/'cut.csv').read_bytes().startswith(whole[:at])  # what was there is not rewritten


def test_edited_by_hand(tmp_path):
    j = made(tmp_path/'d.csv')
    text = j.path.read_text(encoding='utf-8').replace('keep', 'kept', 1)
    j.path.write_text('\ufeff' + text.replace('\n', '\r\n') + 'what is this\r\n,,,,,,keep\r\n', encoding='utf-8')
    again = Journal(j.path)
    assert len(again.decisions) == 5 and len(again.notes) == 3
    assert "action 'kept'" in again.notes[0] and '1 field' in again.notes[1] and 'no photo' in again.notes[2]


@pytest.mark.parametrize('content', [b'path,label\na,b\n', b'\x00\xff\xfe binary', b'\x89PNG\r\n'])
def test_what_is_no_journal(tmp_path, content):
    (tmp_path/'x.csv').write_bytes(content)
    with pytest.raises(UserError, match='no journal'): Journal(tmp_path/'x.csv')
    assert (tmp_path/'x.csv').read_bytes() == content


def test_undo_without_end_and_redo(tmp_path):
    j = made(tmp_path/'d.csv')
    for i in range(6): assert Journal(j.path).undo() == f'{5-i:064x}'
    assert Journal(j.path).undo() is None and len(Journal(j.path).decisions) == 0
    for i in range(3): assert Journal(j.path).redo() == f'{i:064x}'
    Journal(j.path).decide('p', 'a'*64, 'fox', 'aside')
    last = Journal(j.path)
    assert last.redo() is None and len(last.decisions) == 4 and (last.can_undo, last.can_redo) == (4, 0)


def test_two_programs_at_once(tmp_path):
    code = textwrap.dedent("""
        import sys
        from imgcls.journal import Journal
        j = Journal(sys.argv[1])
        for i in range(40):
            j.decide(f'{sys.argv[2]}-{i}.jpg', f'{sys.argv[2]}{i:04d}', 'fox', 'keep')
            if i % 10 == 9: j.undo(), j.redo()
    """)
    both = [subprocess.Popen([sys.executable, '-c', code, tmp_path/'d.csv', who]) for who in 'ab']
    assert [p.wait(120) for p in both] == [0, 0]
    j = Journal(tmp_path/'d.csv')
    assert j.notes == [] and len(j.decisions) == 80 and j.path.read_bytes().count(b'\n') == 81+16


@pytest.mark.skipif(os.name == 'nt' or not hasattr(os, 'geteuid') or os.geteuid() == 0, reason='root may write everywhere')
def test_read_only_folder(tmp_path):
    made(tmp_path/'d.csv')
    (tmp_path/'d.csv').chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match='was not saved'): Journal(tmp_path/'d.csv').decide('p', 'a', 'fox', 'keep')
    finally: tmp_path.chmod(0o700)


def test_no_room_is_said_and_nothing_claimed(tmp_path):
    j = Journal(tmp_path/'none'/'d.csv')
    (tmp_path/'none').write_text('a file where a folder should be')
    with pytest.raises(UserError, match='was not saved'): j.decide('p', 'a', 'fox', 'keep')
    assert len(j.decisions) == 0


def test_apply_leaves_files_and_table_alone(tmp_path):
    table = photos(tmp_path)
    before, files = table.copy(), sorted(p for p in tmp_path.rglob('*') if p.is_file())
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'fox', 'relabel', 'deer'), j.decide('2', f'{2:064x}', 'fox', 'delete'), j.decide('3', f'{3:064x}', 'fox', 'aside')
    said = []
    out = apply(j, table, say=said.append)
    assert table.equals(before) and sorted(p for p in tmp_path.rglob('*.jpg')) == [f for f in files if f.suffix == '.jpg']
    assert out.label.tolist() == ['fox', 'deer', 'fox', 'fox'] and out.was.tolist() == ['', 'fox', '', ''] and said == out.attrs['notes']
    j.decide('1', f'{1:064x}', 'deer', 'relabel', 'hare')  # on the cleaned table, a second thought
    again = apply(j, table, say=said.append)
    assert again.label.tolist()[1] == 'hare' and again.was.tolist()[1] == 'fox' and apply(j, again, say=said.append).label.tolist() == again.label.tolist()


def test_apply_and_back_to_the_old_label(tmp_path):
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'fox', 'relabel', 'deer'), j.decide('1', f'{1:064x}', 'deer', 'relabel', 'fox')
    out = apply(j, photos(tmp_path), say=lambda _: None)
    assert out.label.tolist() == ['fox']*6 and set(out.was) == {''}


def test_same_photo_under_two_labels(tmp_path):
    table = pd.concat([photos(tmp_path, 1), photos(tmp_path, 1, 'deer')], ignore_index=True)
    j = Journal(tmp_path/'d.csv')
    j.decide('0', f'{0:064x}', 'deer', 'delete')
    assert apply(j, table, say=lambda _: None).label.tolist() == ['fox']


def test_journal_of_other_photos(tmp_path):
    table = photos(tmp_path)
    with pytest.raises(UserError, match='none of the 6 decisions'): apply(made(tmp_path/'d.csv'), table.assign(sha256='e'*64))
    assert '3 decisions about photos that are not in this table' in apply(made(tmp_path/'e.csv'), table.iloc[:3], say=lambda _: None).attrs['notes']
    assert '6 decisions about labels' in apply(tmp_path/'e.csv', table.assign(label='owl'), say=lambda _: None).attrs['notes'][-1]


def test_move_and_back(tmp_path):
    table = photos(tmp_path)
    j = Journal(tmp_path/'d.csv')
    for i in (1, 2): j.decide(str(i), f'{i:064x}', 'fox', 'delete')
    old = {p: p.read_bytes() for p in (tmp_path/'photos').rglob('*.jpg')}
    for _ in range(2):  # the second time nothing is left to move
        apply(j, table, move=True, say=lambda _: None)
        assert sorted(p.name for p in (tmp_path/'removed').rglob('*.jpg')) == ['1.jpg', '2.jpg'] and len([*(tmp_path/'photos').rglob('*.jpg')]) == 4
    (tmp_path/'photos'/'fox'/'1.jpg').write_bytes(b'somebody put another photo here')
    said = []
    assert restore(tmp_path/'removed', say=said.append) == 1 and '1 photo stayed' in said[0]
    assert (tmp_path/'photos'/'fox'/'1.jpg').read_bytes() == b'somebody put another photo here' and (tmp_path/'removed'/'fox'/'1.jpg').exists()
    (tmp_path/'photos'/'fox'/'1.jpg').unlink()
    assert restore(tmp_path/'removed') == 1 and {p: p.read_bytes() for p in (tmp_path/'photos').rglob('*.jpg')} == old


def test_list_of_removed_photos_can_not_fetch_from_elsewhere(tmp_path):
    (tmp_path/'removed').mkdir()
    (tmp_path/'secret.txt').write_text('mine')
    (tmp_path/'removed'/'removed.csv').write_text(f"../secret.txt,{tmp_path/'stolen.txt'},fox,now\n")
    assert restore(tmp_path/'removed') == 0 and not (tmp_path/'stolen.txt').exists()


def test_merge(tmp_path):
    a, b = Journal(tmp_path/'a.csv'), Journal(tmp_path/'b.csv')
    for j in (a, b): j.decide('same', 'aa', 'fox', 'relabel', 'deer')
    a.decide('torn', 'bb', 'fox', 'relabel', 'deer'), b.decide('torn', 'bb', 'fox', 'relabel', 'hare')
    b.decide('mine', 'cc', 'fox', 'keep')
    agreed, torn = merge(a, b)
    assert sorted(agreed.sha256) == ['aa', 'cc'] and [*torn.new] == ['deer', 'hare'] and [*torn.sha256] == ['bb', 'bb']
    with pytest.raises(UserError, match='no journal'): merge(a, tmp_path/'none.csv')
