"""The journal of decisions: cut, edited by hand, shared by two programs; what it does to photos and files."""
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from imgcls.cleaning.journal import COLUMNS, Journal, apply_decisions, merge_journals, restore_files
from imgcls.core import UserError
from imgcls.data.table import COLUMNS as PHOTO_COLUMNS
from imgcls.data.table import Photos, read_photos

NAMES = ['plain.jpg', 'a,b "c".jpg', 'line\nbreak\r.jpg', '=1+1.jpg', '\u202eגפ\U0001f98a.jpg',
         '<script>.jpg', 'x'*300, 'a\tb']


def silent(_): pass


def made(path, n=6):
    j = Journal(path)
    for i in range(n):
        action, new = ('relabel', 'de,er') if i % 2 else ('keep', '')
        j.decide(NAMES[i % len(NAMES)], f'{i:064x}', 'fox', action, new, 'label')
    return j


def photos(tmp_path, n=6, label='fox', **more):
    rows = []
    for i in range(n):
        f = tmp_path/'photos'/label.replace('\t', ' ')/f'{i}.jpg'
        f.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 8), (40*i, 0, 0)).save(f)
        known = dict(path=str(f), label=label, split='test' if i == 0 else 'train', sha256=f'{i:064x}')
        rows.append(dict.fromkeys(PHOTO_COLUMNS, '') | known)
    return Photos(pd.DataFrame(rows), **more)


def by_number(photos): return photos.df.set_index('sha256').sort_index()


# ---- the file

def test_one_line_a_decision_whatever_the_names(tmp_path):
    j = made(tmp_path/'d.csv', len(NAMES))
    assert len((tmp_path/'d.csv').read_bytes().splitlines()) == len(NAMES)+1 and Journal(j.path).notes == []
    assert Journal(j.path).decisions.equals(j.decisions)
    assert [*pd.read_csv(j.path, dtype=str).columns] == COLUMNS  # other programs read it


def test_names_that_look_like_formulas_come_back(tmp_path):
    j, names = Journal(tmp_path/'d.csv'), ['=1+1', '+a', '-b', '@c', "'=x", "'y"]
    for i, name in enumerate(names): j.decide(name, f'{i:064x}', name, 'relabel', name)
    assert [*Journal(j.path).decisions.old] == [*Journal(j.path).decisions.photo] == names
    cells = pd.read_csv(j.path, dtype=str)
    assert [*cells.new] == ["'=1+1", "'+a", "'-b", "'@c", "''=x", "'y"]


def test_cut_anywhere_loses_one_line_at_most(tmp_path):
    whole = made(tmp_path/'d.csv', 3).path.read_bytes()
    head = whole.index(b'\n')+1
    for at in range(0, len(whole)):
        (tmp_path/'cut.csv').write_bytes(whole[:at])
        j, done = Journal(tmp_path/'cut.csv'), max(0, whole[:at].count(b'\n')-1)
        assert len(j.decisions) >= done and len(j.decisions)+len(j.notes) <= done+1
        j.decide('new.jpg', 'f'*64, 'fox', 'delete')
        after = Journal(j.path)
        assert after.decisions.sha256.iloc[-1] == 'f'*64 and len(after.decisions) >= done+1
        if at >= head: assert j.path.read_bytes().startswith(whole[:at])  # what was there is not rewritten


def test_edited_by_hand(tmp_path):
    j = made(tmp_path/'d.csv')
    text = j.path.read_text(encoding='utf-8').replace('keep', 'kept', 1)
    edited = '\ufeff' + text.replace('\n', '\r\n') + 'what is this\r\n,,,,,,keep\r\n'
    j.path.write_text(edited, encoding='utf-8', newline='')
    again = Journal(j.path)
    assert len(again.decisions) == 5 and len(again.notes) == 3
    assert "action 'kept'" in again.notes[0] and '1 field' in again.notes[1] and 'no photo' in again.notes[2]


@pytest.mark.parametrize('content', [b'path,label\na,b\n', b'\x00\xff\xfe binary', b'\x89PNG\r\n'])
def test_what_is_not_a_journal(tmp_path, content):
    (tmp_path/'x.csv').write_bytes(content)
    with pytest.raises(UserError, match='not a journal'): Journal(tmp_path/'x.csv')
    assert (tmp_path/'x.csv').read_bytes() == content


def test_undo_without_end_and_redo(tmp_path):
    j = made(tmp_path/'d.csv')
    for i in range(6): assert Journal(j.path).undo() == f'{5-i:064x}'
    assert Journal(j.path).undo() is None and len(Journal(j.path).decisions) == 0
    for i in range(3): assert Journal(j.path).redo() == f'{i:064x}'
    Journal(j.path).decide('p', 'a'*64, 'fox', 'aside')
    last = Journal(j.path)
    assert last.redo() is None and len(last.decisions) == 4 and (last.can_undo, last.can_redo) == (4, 0)


def several(*ids, action='keep', **more):
    return [dict(photo=f'{i}.jpg', sha256=f'{i:064x}', old='fox', action=action, **more) for i in ids]


def test_decisions_made_at_once_are_undone_at_once(tmp_path):
    j = made(tmp_path/'d.csv', 2)
    before = j.path.read_bytes()
    j.decide_all(several(2, 3, 4, reason='label'))
    j.decide_all(several(3, 4, 5, action='aside'))
    assert [*j.decisions.action] == ['keep', 'relabel', 'keep', 'aside', 'aside', 'aside']
    assert Journal(j.path).undo() == f'{3:064x}' and [*Journal(j.path).decisions.action][2:] == ['keep']*3
    assert Journal(j.path).undo() == f'{2:064x}' and Journal(j.path).can_undo == 2
    assert Journal(j.path).undo() == f'{1:064x}'  # one of those made alone
    assert [Journal(j.path).redo() for _ in range(4)] == [f'{i:064x}' for i in (1, 4, 5)] + [None]
    last = Journal(j.path)
    assert [*last.decisions.action][3:] == ['aside']*3 and last.notes == []
    # a program that knows nothing of this reads the same: a line a step, and the same columns
    assert j.path.read_bytes().startswith(before) and len(last.history) == 2+6+7+7
    assert [*pd.read_csv(j.path, dtype=str).columns] == COLUMNS


def test_decisions_at_once_are_written_all_or_none(tmp_path):
    j = made(tmp_path/'d.csv', 2)
    before = j.path.read_bytes()
    with pytest.raises(UserError, match='needs a new label'):
        j.decide_all(several(2, 3) + several(4, action='relabel'))
    j.decide_all([])
    assert j.path.read_bytes() == before and j.can_undo == 2
    j.decide_all(several(2))  # one alone is no batch
    assert Journal(j.path).decisions.reason.tolist() == ['label', 'label', '']


def test_two_programs_at_once(tmp_path):
    code = textwrap.dedent("""
        import sys
        from imgcls.cleaning.journal import Journal
        j = Journal(sys.argv[1])
        for i in range(40):
            j.decide(f'{sys.argv[2]}-{i}.jpg', f'{sys.argv[2]}{i:04d}', 'fox', 'keep')
            if i % 10 == 9: j.undo(), j.redo()
    """)
    both = [subprocess.Popen([sys.executable, '-c', code, tmp_path/'d.csv', who]) for who in 'ab']
    assert [p.wait(120) for p in both] == [0, 0]
    j = Journal(tmp_path/'d.csv')
    assert j.notes == [] and len(j.decisions) == 80 and j.path.read_bytes().count(b'\n') == 81+16


root = os.name == 'nt' or not hasattr(os, 'geteuid') or os.geteuid() == 0


@pytest.mark.skipif(root, reason='root may write everywhere')
def test_read_only_folder(tmp_path):
    made(tmp_path/'d.csv')
    (tmp_path/'d.csv').chmod(0o400)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(UserError, match='was not saved'):
            Journal(tmp_path/'d.csv').decide('p', 'a', 'fox', 'keep')
    finally: tmp_path.chmod(0o700)


def test_a_decision_that_can_not_be_written_does_not_count(tmp_path):
    j = Journal(tmp_path/'none'/'d.csv')
    (tmp_path/'none').write_text('a file where a folder should be')
    with pytest.raises(UserError, match='was not saved'): j.decide('p', 'a', 'fox', 'keep')
    assert len(j.decisions) == 0


# ---- applying it

def test_apply_leaves_files_and_photos_alone(tmp_path):
    old = photos(tmp_path)
    before, files = old.df.copy(), sorted(tmp_path.rglob('*.jpg'))
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'fox', 'relabel', 'deer')
    j.decide('2', f'{2:064x}', 'fox', 'delete')
    j.decide('3', f'{3:064x}', 'fox', 'aside')
    told = []
    new = apply_decisions(j, old, say=told.append)
    assert old.df.equals(before) and sorted(tmp_path.rglob('*.jpg')) == files
    assert by_number(new).label.tolist() == ['fox', 'deer', 'fox', 'fox']
    assert by_number(new).was.tolist() == ['', 'fox', '', ''] and told == new.notes
    assert new.classes == ['deer', 'fox']
    j.decide('1', f'{1:064x}', 'deer', 'relabel', 'hare')  # on the cleaned photos, a second thought
    again = apply_decisions(j, old, say=silent)
    assert by_number(again).label.iloc[1] == 'hare' and by_number(again).was.iloc[1] == 'fox'
    assert apply_decisions(j, again, say=silent).df.label.tolist() == again.df.label.tolist()


def test_apply_and_back_to_the_old_label(tmp_path):
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'fox', 'relabel', 'deer')
    j.decide('1', f'{1:064x}', 'deer', 'relabel', 'fox')
    new = apply_decisions(j, photos(tmp_path), say=silent)
    assert new.df.label.tolist() == ['fox']*6 and set(new.df.was) == {''}


def test_same_photo_under_two_labels(tmp_path):
    both = Photos(pd.concat([photos(tmp_path, 1).df, photos(tmp_path, 1, 'deer').df]))
    j = Journal(tmp_path/'d.csv')
    j.decide('0', f'{0:064x}', 'deer', 'delete')
    assert apply_decisions(j, both, say=silent).df.label.tolist() == ['fox']


def test_a_photo_never_gets_a_label_twice(tmp_path):
    "Rows are matched by content and label, so a study must not have two rows with the same."
    both = Photos(pd.concat([photos(tmp_path, 2).df, photos(tmp_path, 1, 'deer').df]))
    j = Journal(tmp_path/'d.csv')
    j.decide('0', f'{0:064x}', 'deer', 'relabel', 'fox')
    new = apply_decisions(j, both, say=silent)
    assert new.df.label.tolist() == ['fox', 'fox'] and not new.df.duplicated(['sha256', 'label']).any()
    assert set(new.df.was) == {''} and new.notes[1].startswith('1 copy left out')


def test_names_with_control_characters(tmp_path):
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'f\tox', 'delete')
    assert len(apply_decisions(Journal(j.path), photos(tmp_path, 3, 'f\tox'), say=silent)) == 2


def test_journal_of_other_photos(tmp_path):
    some = photos(tmp_path)
    with pytest.raises(UserError, match='none of the 6 decisions'):
        apply_decisions(made(tmp_path/'d.csv'), replace(some, df=some.df.assign(sha256='e'*64)))
    half = apply_decisions(made(tmp_path/'e.csv'), replace(some, df=some.df.iloc[:3]), say=silent)
    assert '3 decisions about photos that are not among these' in half.notes
    owls = apply_decisions(tmp_path/'e.csv', replace(some, df=some.df.assign(label='owl')), say=silent)
    assert '6 decisions about labels' in owls.notes[-1]


def test_cleaned_photos_know_the_study_they_are_from(tmp_path):
    j = made(tmp_path/'d.csv')
    plain, cleaned = photos(tmp_path), photos(tmp_path, cleaned_from='/before')
    class FakeStudy: path, photos = tmp_path/'study', plain
    assert apply_decisions(j, plain, say=silent).cleaned_from == ''
    assert apply_decisions(j, FakeStudy, say=silent).cleaned_from == str(tmp_path/'study')
    assert apply_decisions(j, cleaned, say=silent).cleaned_from == '/before'
    (tmp_path/'study.json').write_text('{}')  # the journal lies in a study
    assert apply_decisions(j, plain, say=silent).cleaned_from == str(tmp_path)


def test_cleaned_photos_survive_a_csv_file(tmp_path):
    folder = tmp_path/'photos'
    for i in range(12):
        f = folder/('deer' if i % 2 else 'fox')/f'{i}.png'
        f.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((16, 16), 90).save(f)
    old = read_photos(folder, test=.5)
    row = old.train().iloc[0]
    j = Journal(tmp_path/'d.csv')
    j.decide(row.path, row.sha256, row.label, 'relabel', 'fox' if row.label == 'deer' else 'deer')
    new = apply_decisions(j, old, say=silent)
    new.df.to_csv(tmp_path/'cleaned.csv', index=False)
    again = read_photos(tmp_path/'cleaned.csv')
    same = ['path', 'label', 'split', 'sha256']
    assert again.df[same].equals(new.df[same]) and again.id == new.id


# ---- the test stays as it was

def decided(tmp_path, *decisions):
    "Photos (the first is for testing) after decisions, each (photo, action, new label)."
    j = Journal(tmp_path/'d.csv')
    for i, action, new in decisions: j.decide(str(i), f'{i:064x}', 'fox', action, new)
    return j


@pytest.mark.parametrize('action, new', [('relabel', 'deer'), ('delete', ''), ('aside', '')])
def test_a_decision_about_a_test_photo_is_only_noted(tmp_path, action, new):
    old = photos(tmp_path)
    cleaned = apply_decisions(decided(tmp_path, (0, action, new), (1, 'relabel', 'deer')), old, say=silent)
    assert cleaned.test[['path', 'label']].equals(old.test[['path', 'label']])
    assert cleaned.test.corrected.item() == new and cleaned.test.removed.item() == (action if not new else '')
    assert by_number(cleaned).label.iloc[1] == 'deer'  # training photos are corrected
    assert set(cleaned.train().corrected) == set(cleaned.train().removed) == {''}
    assert 'the test stays as it was' in cleaned.notes[1]


def test_the_file_of_a_deleted_test_photo_stays(tmp_path):
    old = photos(tmp_path)
    j = decided(tmp_path, (0, 'delete', ''), (1, 'delete', ''))
    cleaned = apply_decisions(j, old, move=True, say=silent)
    assert [p.name for p in (tmp_path/'removed').rglob('*.jpg')] == ['1.jpg']
    assert os.path.isfile(cleaned.test.path.item())


def test_a_second_thought_about_a_test_photo(tmp_path):
    j, old = decided(tmp_path, (0, 'relabel', 'deer')), photos(tmp_path)
    once = apply_decisions(j, old, say=silent)
    j.decide('0', f'{0:064x}', 'deer', 'relabel', 'hare')
    for start in (old, once): assert apply_decisions(j, start, say=silent).test.corrected.item() == 'hare'
    j.decide('0', f'{0:064x}', 'hare', 'relabel', 'fox')
    assert apply_decisions(j, old, say=silent).test.corrected.item() == ''
    alone = Journal(tmp_path/'e.csv')
    alone.decide('0', f'{0:064x}', 'deer', 'delete')  # about the label that it got the day before
    again = apply_decisions(alone, once, say=silent).test
    assert (again.corrected.item(), again.removed.item(), again.label.item()) == ('deer', 'delete', 'fox')


def test_a_class_that_is_given_up_leaves_the_test_too(tmp_path):
    both = Photos(pd.concat([photos(tmp_path, 3).df, photos(tmp_path, 4, 'deer').df.iloc[3:]]))
    every = decided(tmp_path, *[(i, 'relabel', 'deer') for i in range(3)])
    cleaned = apply_decisions(every, both, say=silent)
    assert cleaned.classes == ['deer'] and set(cleaned.test.was) == {'fox'}


# ---- files

def test_move_and_back(tmp_path):
    some = photos(tmp_path)
    j = Journal(tmp_path/'d.csv')
    for i in (1, 2): j.decide(str(i), f'{i:064x}', 'fox', 'delete')
    old = {p: p.read_bytes() for p in (tmp_path/'photos').rglob('*.jpg')}
    for _ in range(2):  # the second time nothing is left to move
        apply_decisions(j, some, move=True, say=silent)
        assert sorted(p.name for p in (tmp_path/'removed').rglob('*.jpg')) == ['1.jpg', '2.jpg']
        assert len([*(tmp_path/'photos').rglob('*.jpg')]) == 4
    mine, moved = (tmp_path/f/'fox'/'1.jpg' for f in ('photos', 'removed'))
    mine.write_bytes(b'somebody put another photo here')
    told = []
    assert restore_files(tmp_path/'removed', say=told.append) == 1 and '1 photo stayed' in told[0]
    assert mine.read_bytes() == b'somebody put another photo here' and moved.exists()
    mine.unlink()
    assert restore_files(tmp_path/'removed') == 1
    assert {p: p.read_bytes() for p in (tmp_path/'photos').rglob('*.jpg')} == old


def test_each_photo_goes_back_to_its_own_place(tmp_path):
    "Two photos of one name, moved on two days: the list names the place of both."
    first, second = (tmp_path/folder/'photos'/'fox'/'1.jpg' for folder in 'ab')
    for folder in 'ab':
        some = photos(tmp_path/folder, 2)
        j = Journal(tmp_path/folder/'d.csv')
        j.decide('1', f'{1:064x}', 'fox', 'delete')
        apply_decisions(j, some, move=True, removed=tmp_path/'removed', say=silent)
        if folder == 'a':
            assert restore_files(tmp_path/'removed') == 1
            first.unlink()
    assert restore_files(tmp_path/'removed') == 1 and second.exists() and not first.exists()


def test_a_list_that_a_crash_has_cut(tmp_path):
    (tmp_path/'removed').mkdir()
    (tmp_path/'removed'/'removed.csv').write_text(f"fox/9.jpg,{tmp_path/'9.jpg'}")
    j = Journal(tmp_path/'d.csv')
    j.decide('1', f'{1:064x}', 'fox', 'delete')
    apply_decisions(j, photos(tmp_path), move=True, say=silent)
    assert restore_files(tmp_path/'removed') == 1


def test_list_of_removed_photos_can_not_fetch_from_elsewhere(tmp_path):
    (tmp_path/'removed').mkdir()
    (tmp_path/'secret.txt').write_text('mine')
    (tmp_path/'removed'/'removed.csv').write_text(f"../secret.txt,{tmp_path/'stolen.txt'},fox,now\n")
    assert restore_files(tmp_path/'removed') == 0 and not (tmp_path/'stolen.txt').exists()


# ---- two journals

def test_merge(tmp_path):
    a, b = Journal(tmp_path/'a.csv'), Journal(tmp_path/'b.csv')
    for j in (a, b): j.decide('same', 'aa', 'fox', 'relabel', 'deer')
    a.decide('torn', 'bb', 'fox', 'relabel', 'deer')
    b.decide('torn', 'bb', 'fox', 'relabel', 'hare')
    b.decide('mine', 'cc', 'fox', 'keep')
    agreed, torn = merge_journals(a, b)
    assert sorted(agreed.sha256) == ['aa', 'cc']
    assert [*torn.new] == ['deer', 'hare'] and [*torn.sha256] == ['bb', 'bb']
    with pytest.raises(UserError, match='no journal'): merge_journals(a, tmp_path/'none.csv')


@pytest.mark.parametrize('action, new', [('relabel', 'hare'), ('keep', ''), ('aside', '')])
def test_a_test_photo_is_offered_again_under_the_label_it_keeps(tmp_path, action, new):
    first, old = decided(tmp_path, (0, 'relabel', 'deer')), photos(tmp_path)
    once = apply_decisions(first, old, say=silent)
    assert once.test.label.item() == 'fox' and once.test.corrected.item() == 'deer'
    later = Journal(tmp_path/'later.csv')
    later.decide('0', f'{0:064x}', 'fox', action, new)
    again = apply_decisions(later, once, say=silent).test
    assert (again.corrected.item(), again.removed.item()) == (new, action if action == 'aside' else '')
    assert apply_decisions(first, once, say=silent).test.corrected.item() == 'deer'  # made before
