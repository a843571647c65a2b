"""CSV files: whatever people bring is read as it is meant, and what we write no spreadsheet runs."""
import csv
import os
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from imgcls.core import UserError
from imgcls.csv_files import guarded, read_csv, unguarded, write_csv

quick = settings(max_examples=40, deadline=None)
CELLS = ['=1+1', '+a', '-b', '@c', "'=x", "'y", '\ta', 'a', 'NA', 'None', '007', '1e5', 'a,"b"\nc', ' a',
         'b ', ';']


@pytest.fixture(scope='module')
def file(tmp_path_factory): return tmp_path_factory.mktemp('csv')/'t.csv'


def test_tables_come_back_and_no_spreadsheet_runs_them(file):
    t = pd.DataFrame({c.replace('\n', ' '): CELLS for c in CELLS if c.strip() == c})
    write_csv(t, file)
    pd.testing.assert_frame_equal(read_csv(file), t)
    with open(file, newline='') as f: assert not [c for r in csv.reader(f) for c in r if c[0] in '=+-@\t']


TEXT = (st.text(st.characters(codec='utf-8'), max_size=8) | st.text(' a', max_size=3)
        | st.text(' =+-@\'"\t\r\n,;a＝', max_size=6))


@quick
@given(st.lists(TEXT, min_size=1, max_size=3), st.lists(TEXT.filter(str.strip), min_size=1, max_size=4))
def test_any_table_comes_back(file, names, cells):
    names = [*dict.fromkeys(f'n{n}'.strip() for n in names)]
    t = pd.DataFrame({n: cells for n in names}).assign(**{'photos in all': [*range(len(cells))]})
    write_csv(t, file)
    pd.testing.assert_frame_equal(read_csv(file), t.astype(str))


@given(TEXT)
def test_a_guarded_text_comes_back(text):
    assert unguarded(guarded(text)) == text and guarded(text)[:1] not in [*'=+-@\t\r\n']


@pytest.mark.parametrize('text', [
    'a,b,\n1,2,\n', 'a,b,\n1,2\n', ',a,b\n0,1,2\n', 'sep=;\na;b\n1;2\n;;\n', '"sep=|"\r\na|b\r\n1|2\r\n',
    'a\tb\n1\t2\n', '\ufeffa, b\n\n1, 2\n', '"a";"b"\n"1";"2"'])
def test_csv_files_of_all_kinds(file, text):
    file.write_text(text, encoding='utf-8', newline='')
    assert read_csv(file).to_dict('list') == dict(a=['1'], b=['2'])


@pytest.mark.parametrize('content, words', [
    (b'', 'it is empty'), (b'a,a\n1,2\n', "two columns 'a'"), (b'a,b\n1,2,3\n', 'line 2 has 3 cells'),
    (b'a,b\n"1,2\n', 'quotes'), (b'a\n\xff\n', 'not in UTF-8'), (b'a\n"' + b'x'*200_000, 'as a CSV')])
def test_files_that_are_unclear(file, content, words):
    file.write_bytes(content)
    with pytest.raises(UserError, match=words) as e: read_csv(file)
    assert '\n' not in str(e.value) and str(file) in str(e.value)


def test_the_home_folder_and_files_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_csv(pd.DataFrame(dict(a=['1'])), '~/x/t.csv')
    assert read_csv('~/x/t.csv').a.tolist() == ['1'] and (tmp_path/'x'/'t.csv').is_file()
    with pytest.raises(UserError, match="can't read .*nowhere.csv .No such file"): read_csv('nowhere.csv')
    for wrong in ('', None, 5, 'a\0b'):
        with pytest.raises(UserError, match='expected the name of a file'): read_csv(wrong)


def test_what_a_file_is_that_is_no_csv(tmp_path):
    with zipfile.ZipFile(tmp_path/'a.zip', 'w') as z: z.writestr('fox/1.jpg', b'')
    (tmp_path/'a.xlsx').write_bytes((tmp_path/'a.zip').read_bytes())
    pd.DataFrame(dict(path=['a'], label=['b'])).to_parquet(tmp_path/'a.parquet')
    (tmp_path/'a.json').write_text('[{"path": "a"}]')
    Image.new('RGB', (9, 9)).save(tmp_path/'a.jpg')
    for name, mode in (('a.tar', 'w'), ('a.tgz', 'w:gz')):
        with tarfile.open(tmp_path/name, mode) as t: t.add(tmp_path/'a.json')
    before = sorted(os.listdir(tmp_path))
    for name, words in dict(zip='zip archive; unpack', tar='tar archive', tgz='gz archive',
                            xlsx='workbook; save', parquet='Parquet', json='JSON',
                            jpg='single photo; give').items():
        with pytest.raises(UserError, match=words): read_csv(Path(tmp_path/f'a.{name}'))
    assert sorted(os.listdir(tmp_path)) == before


def test_an_archive_is_named_and_nothing_else_is_said(tmp_path):
    (file := tmp_path/'photos.zip').write_bytes(b'PK\3\4')
    with pytest.raises(UserError) as e: read_csv(file)
    assert str(e.value) == f'{file} is a zip archive; unpack it and give the folder'
